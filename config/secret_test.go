package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

var revealed = regexp.MustCompile(`from-a-(file|variable)-...`)

func TestSecretsArriveButAreNeverPrinted(t *testing.T) {
	c, _, err := Load("testdata/everything.good.yaml", env)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range []string{c.Admin.Token.Reveal(), c.Sources[1].Zookeeper.Auth.Credentials.Reveal(), c.Sources[2].Zookeeper.Auth.Credentials.Reveal()} {
		if want := []string{"from-a-file-5c1", "bridge:from-a-file-9e2", "bridge:from-a-variable-7d3"}[i]; got != want {
			t.Errorf("secret %d arrives as %q, want %q", i, got, want)
		}
	}

	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "config", c, "value", *c, "source", c.Sources[1], "zk", c.Sources[1].Zookeeper, "token", c.Admin.Token)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "config", c, "value", *c, "source", c.Sources[1], "zk", c.Sources[1].Zookeeper, "token", c.Admin.Token)
	printed := map[string]string{"slog": log.String()}
	values := []any{c, *c, c.Admin, c.Sources, c.Sources[1], c.Sources[1].Zookeeper, *c.Sources[1].Zookeeper, c.Admin.Token}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		printed[verb] = fmt.Sprintf(verb, values)
	}
	for _, verb := range []string{"%s", "%q", "%x"} { // what fits no verb is printed bare by fmt: the secret alone here
		printed[verb] = fmt.Sprintf(verb, c.Admin.Token)
	}
	marshalled := map[string]func(any) ([]byte, error){"json": json.Marshal, "yaml.v3": yaml.Marshal, "sigs yaml": sigsyaml.Marshal}
	for name, marshal := range marshalled {
		out, err := marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		printed[name] = string(out)
	}
	for how, text := range printed {
		if found := revealed.FindString(text); found != "" {
			t.Errorf("%s prints %s", how, found)
		}
		if hidden := regexp.MustCompile(`<secret>|\\u003csecret\\u003e|` + fmt.Sprintf("%x", "<secret>")); !hidden.MatchString(text) {
			t.Errorf("%s does not show that there is a secret", how)
		}
	}
}

func TestFaultsRepeatNoSecret(t *testing.T) {
	for _, text := range []string{
		"admin: from-a-file-5c1",
		"admin: {token: [from-a-file-5c1]}",
		"admin: {token: *from-a-file-5c1}",
		"admin: {token: !from-a-file-5c1 x}",
		"admin: {token: 'from-a-file-5c1}",
		"admin: {token: from-a-file-5c1, address: from-a-file-5c1}",
		"sources: [{name: a, zookeeper: {servers: [zk], auth: {credentials: from-a-file-5c1}}}]",
		"sources: [{name: a, zookeeper: {servers: [zk], auth: from-a-file-5c1}}]",
		"sources: [{name: a, zookeeper: {servers: ['${ZK_CREDENTIALS}/']}}]",
		"mesh: {domain: '${ZK_CREDENTIALS}'}",
	} {
		_, _, err := LoadBytes("f", []byte(text), ".", env)
		if err == nil {
			t.Errorf("%s: no fault", text)
		} else if found := revealed.FindString(err.Error()); found != "" {
			t.Errorf("%s: the fault repeats %s: %v", text, found, err)
		}
	}
}
