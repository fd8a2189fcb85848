// Command ask has a witness cosign checkpoints, by the client of github.com/transparency-dev/witness, which the
// authors of Counterfoil had no part in.
//
//	ask URL VKEY < requests
//
// URL is the witness's, VKEY its verifier key. Each line of requests is a JSON object with the size that the proof
// begins at (old), the proof's hashes in base64 (proof) and the signed checkpoint (checkpoint). For each it prints
// one line: "cosigned", once the cosignature has been verified, or what the client took the refusal for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	fnote "github.com/transparency-dev/formats/note"
	client "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

type request struct {
	Old        uint64   `json:"old"`
	Proof      [][]byte `json:"proof"`
	Checkpoint string   `json:"checkpoint"`
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ask:", err)
		os.Exit(1)
	}
}

func run(args []string, requests io.Reader, answers io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: ask URL VKEY < requests")
	}
	address, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	verifier, err := fnote.NewVerifierForCosignatureV1(args[1])
	if err != nil {
		return err
	}
	asked := client.NewWitness(address, http.DefaultClient)
	for decoder := json.NewDecoder(requests); ; {
		var r request
		if err := decoder.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		answer, err := ask(asked, verifier, r)
		if err != nil {
			return err
		}
		fmt.Fprintln(answers, answer)
	}
}

// ask sends one request. It fails only where the witness answered with something that the client does not know.
func ask(asked client.Witness, verifier note.Verifier, r request) (string, error) {
	lines, size, err := asked.Update(context.Background(), r.Old, []byte(r.Checkpoint), r.Proof)
	switch {
	case errors.Is(err, witness.ErrCheckpointStale):
		return fmt.Sprintf("stale, it has %d", size), nil
	case errors.Is(err, witness.ErrUnknownLog):
		return "unknown log", nil
	case errors.Is(err, witness.ErrNoValidSignature):
		return "no valid signature", nil
	case errors.Is(err, witness.ErrOldSizeInvalid):
		return "old size invalid", nil
	case errors.Is(err, witness.ErrInvalidProof):
		return "invalid proof", nil
	case err != nil:
		return "", err
	}
	if _, err := note.Open(append([]byte(r.Checkpoint), lines...), note.VerifierList(verifier)); err != nil {
		return "", fmt.Errorf("a cosignature that does not hold: %w", err)
	}
	return "cosigned", nil
}
