package schema

// Generate describes the files of the module whose sources lie below root: the contents of their schemas and pages, by name.
func Generate(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, k := range kinds() {
		top, err := read(root, k)
		if err != nil {
			return nil, err
		}
		if files[k.schema], err = jsonSchema(top); err != nil {
			return nil, err
		}
		if files[k.page], err = markdown(top); err != nil {
			return nil, err
		}
	}
	return files, nil
}
