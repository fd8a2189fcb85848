package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// checkReceipts verifies receipts, which are compact JWS, by the keys of the JWKS that the edge serves.
func checkReceipts(folder string) (string, error) {
	keys, err := jwk.ReadFile(filepath.Join(folder, "jwks.json"))
	if err != nil {
		return "", err
	}
	file, err := os.Open(filepath.Join(folder, "receipts.txt"))
	if err != nil {
		return "", err
	}
	defer file.Close()
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); count++ {
		if _, err := jws.Verify(lines.Bytes(), jws.WithKeySet(keys)); err != nil {
			return "", fmt.Errorf("receipt %d: %v", count+1, err)
		}
	}
	if count == 0 {
		return "", fmt.Errorf("no receipts")
	}
	return fmt.Sprintf("%d receipts are signed by a key of the JWKS", count), nil
}
