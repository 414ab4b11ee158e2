package eureka

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// wireInstance is an instance in an answer. Servers differ in how they write it: numbers and truths as such or as text,
// nulls, keys left out. So no field refuses any JSON; what a field cannot use, it leaves zero.
type wireInstance struct {
	InstanceID  text           `json:"instanceId"`
	HostName    text           `json:"hostName"`
	App         text           `json:"app"`
	IPAddr      text           `json:"ipAddr"`
	Status      text           `json:"status"`
	Port        wirePort       `json:"port"`
	SecurePort  wirePort       `json:"securePort"`
	DataCenter  wireDataCenter `json:"dataCenterInfo"`
	Metadata    wireMetadata   `json:"metadata"`
	VIPAddress  text           `json:"vipAddress"`
	LastUpdated text           `json:"lastUpdatedTimestamp"`
	Action      text           `json:"actionType"`
}

// text is a string; numbers and truths become text, null and anything else is empty.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	*t = ""
	switch c := raw[0]; {
	case c == '"':
		s, err := unquote(raw)
		*t = text(s)
		return err
	case c == 't', c == 'f', c == '-', '0' <= c && c <= '9':
		*t = text(raw)
	}
	return nil
}

// unquote is the value of a JSON string. Most have nothing escaped.
func unquote(raw []byte) (s string, err error) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), nil
	}
	err = json.Unmarshal(raw, &s)
	return s, err
}

// millis is a time in milliseconds since 1970, 0 where it is none.
func (t text) millis() int64 {
	n, err := strconv.ParseInt(string(t), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// wirePort is {"$": 8080, "@enabled": "true"} or a bare number.
type wirePort struct {
	number  text
	enabled text // empty where it is not said
}

func (p *wirePort) UnmarshalJSON(raw []byte) error {
	*p = wirePort{}
	if raw[0] != '{' {
		return p.number.UnmarshalJSON(raw)
	}
	var object struct {
		Number  text `json:"$"`
		Enabled text `json:"@enabled"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	p.number, p.enabled = object.Number, object.Enabled
	return nil
}

// wireMetadata is a map of text, without the class that some servers add. A value that is no text is as it was written.
type wireMetadata map[string]string

func (m *wireMetadata) UnmarshalJSON(raw []byte) error {
	*m = nil
	if raw[0] != '{' {
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	delete(object, "@class")
	if len(object) == 0 {
		return nil
	}
	*m = make(wireMetadata, len(object))
	for key, value := range object {
		if value[0] == '"' {
			s, err := unquote(value)
			if err != nil {
				return err
			}
			(*m)[key] = s
		} else if !bytes.Equal(value, []byte("null")) {
			(*m)[key] = string(value)
		}
	}
	return nil
}

// wireDataCenter is where an instance runs; Amazon's tells much of it.
type wireDataCenter struct {
	Metadata wireMetadata
}

func (d *wireDataCenter) UnmarshalJSON(raw []byte) error {
	*d = wireDataCenter{}
	if raw[0] != '{' || !bytes.Contains(raw, []byte("metadata")) { // as of every instance outside of Amazon
		return nil
	}
	var object struct {
		Metadata wireMetadata `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	d.Metadata = object.Metadata
	return nil
}
