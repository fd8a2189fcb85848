package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"k8s.io/klog/v2"
)

// checkAll has Tessera's fsck rebuild the tree from the entry bundles and compare all of it with what is published.
func checkAll(folder string) (string, error) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	verifier, err := readVerifier(folder)
	if err != nil {
		return "", err
	}
	tree, err := readTree(folder)
	if err != nil {
		return "", err
	}
	log := &client.FileFetcher{Root: filepath.Join(folder, "log")}
	// With fewer workers than tiles, it would wait for ever once one of them has found a bad tile.
	workers := uint(tree.N>>height + 64)
	checker := fsck.New(verifier.Name(), verifier, log, hashLeaves, fsck.Opts{N: workers})
	if err := checker.Check(context.Background()); err != nil {
		return "", fmt.Errorf("%.200s", err.Error())
	}
	return fmt.Sprintf("all bundles and tiles of %d entries are in order", tree.N), nil
}

// hashLeaves returns the leaf hashes of the entries of a bundle.
func hashLeaves(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var leaves [][]byte
	for _, entry := range entries.Entries {
		leaves = append(leaves, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return leaves, nil
}
