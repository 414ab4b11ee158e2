package schema

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
)

// module is the prefix of the import paths whose sources lie below the root.
const module = "meshbridge/"

// comments reads the comments of struct fields from the sources below the root of the module.
type comments struct {
	root   string
	fields map[string]map[string]string // by import path: the comment of each Type.Field
}

// of is the comment of a field, as one line.
func (c *comments) of(owner reflect.Type, field string) (string, error) {
	pkg := owner.PkgPath()
	if c.fields[pkg] == nil {
		fields, err := fieldComments(filepath.Join(c.root, filepath.FromSlash(strings.TrimPrefix(pkg, module))))
		if err != nil {
			return "", fmt.Errorf("comments of %s: %w", pkg, err)
		}
		c.fields[pkg] = fields
	}
	name := owner.Name() + "." + field
	comment := c.fields[pkg][name]
	if comment == "" {
		return "", fmt.Errorf("%s.%s has no comment", pkg, name)
	}
	return comment, nil
}

func fieldComments(dir string) (map[string]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if fieldsOf, ok := spec.Type.(*ast.StructType); ok {
					collect(fields, spec.Name.Name, fieldsOf.Fields)
				}
			}
			return true
		})
	}
	return fields, nil
}

func collect(fields map[string]string, owner string, list *ast.FieldList) {
	for _, field := range list.List {
		text := field.Doc.Text()
		if text == "" {
			text = field.Comment.Text()
		}
		for _, name := range field.Names {
			fields[owner+"."+name.Name] = strings.Join(strings.Fields(text), " ")
		}
	}
}

var defaultSentence = regexp.MustCompile(`^(.*\.) (?:Default:? (.+)|No default)$`)

// split takes the default off a comment: "How long. Default: 10m." It is an error if the comment names none.
func split(comment string) (what, byDefault string, err error) {
	m := defaultSentence.FindStringSubmatch(strings.TrimSuffix(comment, "."))
	if m == nil {
		return "", "", fmt.Errorf("comment %q does not end with its default", comment)
	}
	return m[1], cmp.Or(m[2], "none"), nil
}
