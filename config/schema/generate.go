package schema

// Generate describes the configuration of the module whose sources lie below root: the contents of docs/config.schema.json
// and docs/config.md, by name.
func Generate(root string) (map[string][]byte, error) {
	top, err := read(root)
	if err != nil {
		return nil, err
	}
	schema, err := jsonSchema(top)
	if err != nil {
		return nil, err
	}
	page, err := markdown(top)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"docs/config.schema.json": schema, "docs/config.md": page}, nil
}
