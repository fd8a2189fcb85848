// Command interop checks what a Counterfoil ledger has published, and receipts for it, with code that the
// authors of Counterfoil had no part in: Go's own checksum database packages, Tessera and a JOSE library.
//
//	interop FOLDER
//
// FOLDER holds what `npm run interop -- --keep FOLDER` writes: log/ is the ledger as it is published,
// checkpoints/ has the checkpoint of every publication, proofs/ some proofs that the ledger made,
// receipts.txt some receipts, vkey and jwks.json the public keys. It prints one line for each check, and its
// exit status is 1 unless all of them pass.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: interop FOLDER")
		os.Exit(2)
	}
	folder := os.Args[1]
	checks := []struct {
		by    string
		check func(folder string) (string, error)
	}{
		{"golang.org/x/mod/sumdb/note", checkCheckpoints},
		{"golang.org/x/mod/sumdb/tlog", checkEntries},
		{"golang.org/x/mod/sumdb/tlog", checkConsistency},
		{"golang.org/x/mod/sumdb/tlog", checkProofs},
		{"github.com/transparency-dev/tessera/fsck", checkAll},
		{"github.com/lestrrat-go/jwx", checkReceipts},
	}
	failed := false
	for _, c := range checks {
		found, err := c.check(folder)
		if err != nil {
			failed = true
			found = fmt.Sprintf("FAILED: %v", err)
		}
		fmt.Printf("%-42s%s\n", c.by, found)
	}
	if failed {
		os.Exit(1)
	}
}
