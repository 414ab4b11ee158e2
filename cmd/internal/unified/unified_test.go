package unified_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/cmd/internal/unified"
)

const twelve = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n"

func TestItIsWhatDiffSays(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ before, after string }{
		{twelve, strings.Replace(twelve, "6\n", "six\n", 1)},
		{twelve, strings.Replace(twelve, "1\n", "", 1)},
		{twelve, twelve + "13\n"},
		{twelve, "0\n" + strings.Replace(twelve, "12\n", "", 1)},
		{twelve, strings.Replace(strings.Replace(twelve, "2\n", "", 1), "9\n", "9\n9.5\n", 1)},
		{"a\n", "b\n"}, {"", "a\nb\n"}, {"a\nb\n", ""}, {"a\n", "a\n"},
	} {
		if err := os.WriteFile(dir+"/a", []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/b", []byte(c.after), 0o600); err != nil {
			t.Fatal(err)
		}
		want, _ := exec.Command("diff", "-u", "--label", "a", "--label", "b", dir+"/a", dir+"/b").Output() // its status is the verdict
		if diff := cmp.Diff(string(want), unified.Diff("a", c.before, "b", c.after)); diff != "" {
			t.Errorf("diff (-) and here (+):\n%s", diff)
		}
	}
}
