// Checks a log's checkpoints and proofs with golang.org/x/mod alone. Reads a case as JSON, prints what held.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type input struct {
	Vkeys  []string      `json:"vkeys"`
	Lines  []string      `json:"lines"`
	Notes  []string      `json:"notes"`
	Proofs []proof       `json:"proofs"`
	Trees  []consistency `json:"trees"`
}

type proof struct {
	Line string `json:"line"`
	Text string `json:"text"`
}

type consistency struct {
	Old    string   `json:"old"`
	New    string   `json:"new"`
	Hashes []string `json:"hashes"`
}

type output struct {
	Notes  []string `json:"notes"`
	Proofs []string `json:"proofs"`
	Trees  []string `json:"trees"`
}

type head struct {
	size int64
	root tlog.Hash
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	verifiers := verifiersOf(in.Vkeys)
	out := output{Notes: []string{}, Proofs: []string{}, Trees: []string{}}
	hashes := storedHashes(in.Lines)
	for _, text := range in.Notes {
		out.Notes = append(out.Notes, said(checkNote(text, verifiers, hashes)))
	}
	for _, each := range in.Proofs {
		out.Proofs = append(out.Proofs, said(checkProof(each, verifiers)))
	}
	for _, each := range in.Trees {
		out.Trees = append(out.Trees, said(checkTrees(each, verifiers)))
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		os.Exit(2)
	}
}

func said(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func verifiersOf(vkeys []string) note.Verifiers {
	var list []note.Verifier
	for _, vkey := range vkeys {
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		list = append(list, verifier)
	}
	return note.VerifierList(list...)
}

type store []tlog.Hash

func (s store) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, index := range indexes {
		found = append(found, s[index])
	}
	return found, nil
}

func storedHashes(lines []string) store {
	var hashes store
	for number, line := range lines {
		more, err := tlog.StoredHashes(int64(number), []byte(line), hashes)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		hashes = append(hashes, more...)
	}
	return hashes
}

func openHead(text string, verifiers note.Verifiers) (head, error) {
	opened, err := note.Open([]byte(text), verifiers)
	if err != nil {
		return head{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != opened.Sigs[0].Name {
		return head{}, fmt.Errorf("not a checkpoint of the key that signed it")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return head{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return head{size, root}, err
}

// checkNote opens a checkpoint and builds its root from the log's lines.
func checkNote(text string, verifiers note.Verifiers, hashes store) error {
	opened, err := openHead(text, verifiers)
	if err != nil || opened.size == 0 {
		return err
	}
	root, err := tlog.TreeHash(opened.size, hashes)
	if err == nil && root != opened.root {
		err = fmt.Errorf("another root")
	}
	return err
}

// checkProof reads a c2sp.org/tlog-proof and checks the line under its checkpoint.
func checkProof(each proof, verifiers note.Verifiers) error {
	parts := strings.SplitN(each.Text, "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return fmt.Errorf("not a proof")
	}
	index, err := strconv.ParseInt(lines[1][len("index "):], 10, 64)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(lines[2:])
	if err != nil {
		return err
	}
	opened, err := openHead(parts[1], verifiers)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(tlog.RecordProof(hashes), opened.size, opened.root, index, tlog.RecordHash([]byte(each.Line)))
}

// checkTrees checks that one checkpoint's tree is the beginning of another's.
func checkTrees(each consistency, verifiers note.Verifiers) error {
	older, err := openHead(each.Old, verifiers)
	if err != nil {
		return err
	}
	newer, err := openHead(each.New, verifiers)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(each.Hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(tlog.TreeProof(hashes), newer.size, newer.root, older.size, older.root)
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		data, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(data) != tlog.HashSize {
			return nil, fmt.Errorf("not a hash")
		}
		var hash tlog.Hash
		copy(hash[:], data)
		hashes = append(hashes, hash)
	}
	return hashes, nil
}
