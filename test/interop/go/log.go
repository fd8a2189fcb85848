package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// height is that of C2SP tlog-tiles: 256 hashes in a tile. The paths of such tiles do not name it.
const height = 8

// readVerifier reads the ledger's verifier key.
func readVerifier(folder string) (note.Verifier, error) {
	vkey, err := os.ReadFile(filepath.Join(folder, "vkey"))
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(strings.TrimSpace(string(vkey)))
}

// openCheckpoint verifies a checkpoint's signature and returns the tree that it is about.
func openCheckpoint(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// readTree opens the ledger's newest checkpoint.
func readTree(folder string) (tlog.Tree, error) {
	verifier, err := readVerifier(folder)
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := os.ReadFile(filepath.Join(folder, "log", "checkpoint"))
	if err != nil {
		return tlog.Tree{}, err
	}
	return openCheckpoint(signed, verifier)
}

// readTrees opens the checkpoints of all publications, from the first to the newest.
func readTrees(folder string) ([]tlog.Tree, error) {
	verifier, err := readVerifier(folder)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "checkpoints", "*"))
	if err != nil || len(files) < 2 {
		return nil, fmt.Errorf("%d checkpoints: %v", len(files), err)
	}
	var trees []tlog.Tree
	for _, file := range files {
		signed, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		tree, err := openCheckpoint(signed, verifier)
		if err != nil {
			return nil, fmt.Errorf("%s: %v", filepath.Base(file), err)
		}
		trees = append(trees, tree)
	}
	return trees, nil
}

// tiles is a [tlog.TileReader] over the folder of a published ledger.
type tiles string

func (tiles) Height() int { return height }

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range wanted {
		bytes, err := t.read(tile)
		if err == nil && len(bytes) < tile.W*tlog.HashSize {
			err = fmt.Errorf("%s: %d bytes", path(tile), len(bytes))
		}
		if err != nil {
			return nil, err
		}
		data = append(data, bytes[:tile.W*tlog.HashSize])
	}
	return data, nil
}

// read returns a tile, or the full one that has taken the place of a partial one.
func (t tiles) read(tile tlog.Tile) ([]byte, error) {
	bytes, err := os.ReadFile(filepath.Join(string(t), path(tile)))
	if errors.Is(err, fs.ErrNotExist) && tile.W < 1<<height {
		tile.W = 1 << height
		return os.ReadFile(filepath.Join(string(t), path(tile)))
	}
	return bytes, err
}

// path maps sumdb's tile/8/<level>/… and tile/8/data/… to the tile/<level>/… and tile/entries/… of C2SP.
func path(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

// entries reads the entries of a bundle: each has its length before it, in two bytes.
func (t tiles) entries(bundle tlog.Tile) ([][]byte, error) {
	bytes, err := t.read(bundle)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(entries) < bundle.W {
		if len(bytes) < 2 || len(bytes)-2 < int(binary.BigEndian.Uint16(bytes)) {
			return nil, fmt.Errorf("%s: cut off in entry %d", path(bundle), len(entries))
		}
		end := 2 + int(binary.BigEndian.Uint16(bytes))
		entries = append(entries, bytes[2:end])
		bytes = bytes[end:]
	}
	return entries, nil
}
