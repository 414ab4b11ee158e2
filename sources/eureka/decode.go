package eureka

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of an answer, in bytes of JSON.
const (
	maxAnswer = 1 << 30
	maxPart   = 8 << 20 // of one instance, or of anything else that is read in one piece
)

// answer is what came besides the instances.
type answer struct {
	hash string // apps__hashcode: of the server's whole registry
}

// decode reads an answer to /apps or /apps/delta as it streams in, and hands over each instance with its application's
// name as it comes; memory is bound by one instance. An answer that is none, is cut short or has something after it is an
// error, and what was handed over before it counts for nothing.
func decode(r io.Reader, each func(app string, i *wireInstance, err error)) (answer, error) {
	return decodeWithin(&bounded{r: r, total: maxAnswer, part: maxPart}, each)
}

func decodeWithin(in *bounded, each func(app string, i *wireInstance, err error)) (answer, error) {
	d := &decoder{in: in, each: each}
	d.json = json.NewDecoder(d.in)
	err := d.document()
	switch {
	case err == nil:
		return d.answer, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return answer{}, errors.New("the answer is cut short")
	case errors.As(err, new(*json.SyntaxError)):
		return answer{}, fmt.Errorf("the answer is no JSON: %w", err)
	}
	return answer{}, err
}

var errNotEureka = errors.New("no list of applications: this is no answer of Eureka's")

type decoder struct {
	in     *bounded
	json   *json.Decoder
	each   func(app string, i *wireInstance, err error)
	answer answer
}

func (d *decoder) document() error {
	token, err := d.json.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return errNotEureka
	}
	found := false
	err = d.object(func(key string) error {
		if key != "applications" {
			return d.skip()
		}
		token, err := d.json.Token()
		if err != nil {
			return err
		}
		if token != json.Delim('{') {
			return errNotEureka
		}
		found = true
		return d.applications()
	})
	if err != nil {
		return err
	}
	if !found {
		return errNotEureka
	}
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the list of applications")
	}
	return nil
}

// object reads the members of an object whose brace has been read, and the brace at its end.
func (d *decoder) object(member func(key string) error) error {
	for d.json.More() {
		token, err := d.json.Token()
		if err != nil {
			return err
		}
		if err := member(token.(string)); err != nil { // the key of an object is a string, or Token fails
			return err
		}
	}
	_, err := d.json.Token()
	return err
}

// list reads an array of objects, an object that stands for an array of one, or null or a scalar for none. Each gets an
// object whose brace has been read.
func (d *decoder) list(each func() error) error {
	token, err := d.json.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return each()
	case json.Delim('['):
		for d.json.More() {
			token, err := d.json.Token()
			if err != nil {
				return err
			}
			switch token {
			case json.Delim('{'):
				err = each()
			case json.Delim('['):
				err = errors.New("a list within a list of applications")
			}
			if err != nil {
				return err
			}
		}
		_, err = d.json.Token()
	}
	return err
}

// skip leaves out a value.
func (d *decoder) skip() error {
	var raw json.RawMessage
	return d.part(&raw)
}

// part reads a value in one piece.
func (d *decoder) part(into any) error {
	d.in.mark()
	return d.json.Decode(into)
}

func (d *decoder) applications() error {
	return d.object(func(key string) error {
		switch {
		case key == "application":
			return d.list(d.application)
		case isHashKey(key):
			var hash text
			err := d.part(&hash)
			d.answer.hash = string(hash)
			return err
		}
		return d.skip()
	})
}

// isHashKey knows apps__hashcode, with as many underscores as the server was told to make of one.
func isHashKey(key string) bool {
	rest, found := strings.CutPrefix(key, "apps")
	rest, after := strings.CutSuffix(rest, "hashcode")
	return found && after && strings.Trim(rest, "_-") == ""
}

// application reads one application. Its name may stand after its instances, which then wait for it.
func (d *decoder) application() error {
	name, named := "", false
	var waiting []func(name string)
	err := d.object(func(key string) error {
		switch key {
		case "name":
			var t text
			err := d.part(&t)
			name, named = string(t), t != ""
			return err
		case "instance":
			return d.instances(func(i *wireInstance, err error) {
				if named {
					d.each(name, i, err)
					return
				}
				waiting = append(waiting, func(name string) {
					if name == "" && i != nil {
						name = string(i.App)
					}
					d.each(name, i, err)
				})
			})
		}
		return d.skip()
	})
	for _, f := range waiting {
		f(name)
	}
	return err
}

// instances reads the instances of an application: an array, or an object that stands for an array of one.
func (d *decoder) instances(each func(*wireInstance, error)) error {
	token, err := d.json.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return d.single(each)
	case json.Delim('['):
		for d.json.More() {
			i := new(wireInstance)
			err := d.part(i)
			if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
				i, err = nil, fmt.Errorf("an instance is an object, not a JSON %s", wrong.Value)
			} else if err != nil {
				return err
			}
			each(i, err)
		}
		_, err = d.json.Token()
	}
	return err
}

// single reads an instance whose brace has been read.
func (d *decoder) single(each func(*wireInstance, error)) error {
	members := map[string]json.RawMessage{}
	err := d.object(func(key string) error {
		var raw json.RawMessage
		err := d.part(&raw)
		members[key] = raw
		return err
	})
	if err != nil {
		return err
	}
	whole, err := json.Marshal(members)
	if err != nil {
		return err
	}
	i := new(wireInstance)
	err = json.Unmarshal(whole, i)
	each(i, err)
	return nil
}

// bounded ends an answer that is too long, as a whole or since the last mark.
type bounded struct {
	r           io.Reader
	total, part int64
	read, since int64
}

func (b *bounded) mark() { b.since = 0 }

func (b *bounded) Read(p []byte) (int, error) {
	switch {
	case b.read >= b.total:
		return 0, fmt.Errorf("the answer is longer than %d MiB", b.total>>20)
	case b.since >= b.part:
		return 0, fmt.Errorf("one part of the answer is longer than %d MiB", b.part>>20)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.total-b.read)])
	b.read += int64(n)
	b.since += int64(n)
	return n, err
}
