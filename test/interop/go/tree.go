package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// checkCheckpoints opens the checkpoints of all publications.
func checkCheckpoints(folder string) (string, error) {
	trees, err := readTrees(folder)
	if err != nil {
		return "", err
	}
	newest := trees[len(trees)-1]
	tree, err := readTree(folder)
	if err == nil && tree != newest {
		err = fmt.Errorf("the ledger's checkpoint is of size %d, the newest publication's of %d", tree.N, newest.N)
	}
	return fmt.Sprintf("%d checkpoints are signed, the newest of %d entries", len(trees), newest.N), err
}

// checkEntries compares every published entry with the leaf at its index, which is authenticated by the signed root.
func checkEntries(folder string) (string, error) {
	tree, err := readTree(folder)
	if err != nil {
		return "", err
	}
	log := tiles(filepath.Join(folder, "log"))
	reader := tlog.TileHashReader(tree, log)
	for first := int64(0); first < tree.N; first += 1 << height {
		bundle := tlog.Tile{H: height, L: -1, N: first >> height, W: int(min(tree.N-first, 1<<height))}
		entries, err := log.entries(bundle)
		if err != nil {
			return "", err
		}
		var indexes []int64
		for i := range entries {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+int64(i)))
		}
		leaves, err := reader.ReadHashes(indexes)
		if err != nil {
			return "", err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != leaves[i] {
				return "", fmt.Errorf("entry %d is not the leaf at its index", first+int64(i))
			}
		}
	}
	return fmt.Sprintf("%d entries are the leaves of the signed tree", tree.N), nil
}

// checkConsistency checks that every publication extends all the earlier ones, from the tiles that are there now.
func checkConsistency(folder string) (string, error) {
	trees, err := readTrees(folder)
	if err != nil {
		return "", err
	}
	pairs := 0
	for j, newer := range trees {
		reader := tlog.TileHashReader(newer, tiles(filepath.Join(folder, "log")))
		for _, older := range trees[:j] {
			proof, err := tlog.ProveTree(newer.N, older.N, reader)
			if err == nil {
				err = tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash)
			}
			if err != nil {
				return "", fmt.Errorf("from %d to %d: %v", older.N, newer.N, err)
			}
			pairs++
		}
	}
	return fmt.Sprintf("%d pairs of checkpoints are consistent", pairs), nil
}

// checkProofs checks the .tlog-proof files that the ledger made: that of each receipt's entry.
func checkProofs(folder string) (string, error) {
	verifier, err := readVerifier(folder)
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(folder, "proofs", "*.tlog-proof"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no proofs: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = checkProof(string(text), verifier)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
	return fmt.Sprintf("%d proof files lead from a receipt to a signed root", len(files)), nil
}

// checkProof checks one proof file (C2SP tlog-proof) whose extra line is a receipt. The entry of a receipt is what
// comes before its last dot.
func checkProof(text string, verifier note.Verifier) error {
	head, checkpoint, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a proof: %q", head)
	}
	receipt, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint([]byte(checkpoint), verifier)
	if err != nil {
		return err
	}
	entry := receipt[:strings.LastIndexByte(string(receipt), '.')]
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}
