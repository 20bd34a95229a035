// Validates rendered manifests like a cluster: reads YAML from standard input, and writes JSON with the objects, the errors
// of the API server, and the violations of the "restricted" Pod Security Standard.
//
// It decodes strictly and then runs Kubernetes' own validation, so there is no schema to download or update.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

type report struct {
	Objects []json.RawMessage `json:"objects"`
	// By "Kind/name".
	Refused    map[string][]string `json:"refused"`
	Restricted map[string][]string `json:"restricted"`
}

func main() {
	result := report{
		Objects:    []json.RawMessage{},
		Refused:    map[string][]string{},
		Restricted: map[string][]string{},
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = result.add(document)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

// add fails only for documents that are not objects.
func (r *report) add(document []byte) error {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return fmt.Errorf("not YAML: %w\n%s", err, document)
	}
	if string(text) == "null" {
		return nil // only comments
	}
	var head struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Kind == "" || head.Metadata.Name == "" {
		return fmt.Errorf("not a Kubernetes object:\n%s", document)
	}
	r.Objects = append(r.Objects, text)
	name := head.Kind + "/" + head.Metadata.Name
	if problems := validate(head.APIVersion, head.Kind, text); len(problems) > 0 {
		r.Refused[name] = problems
	}
	if reasons := podSecurity(text); len(reasons) > 0 {
		r.Restricted[name] = reasons
	}
	return nil
}
