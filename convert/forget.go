package convert

import "errors"

// ForgetCanary forgets a document of a team that is served though its file has vanished. The error says why it is not forgotten.
func (c *Converter) ForgetCanary(string, string) error {
	return errors.New("its file has it: delete it there")
}
