package changes

import (
	"reflect"
	"testing"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
)

func service(name string) *sources.Service {
	return &sources.Service{
		Key: sources.Key{Scope: "s", Name: name}, Ports: []sources.Port{{Name: "p"}}, Metadata: map[string]string{"k": "v"},
		Instances: []sources.Instance{{ID: "1", Ports: []sources.Port{{Number: 1}}, Metadata: map[string]string{"k": "v"}}},
		Skipped:   []sources.Fault{{Where: "w"}},
	}
}

func TestOnlyWhatIsOtherThanBeforeIsTold(t *testing.T) {
	sink := sourcetest.NewRecorder()
	sink.Scopes([]string{"s"})
	s := New(sink, "s")
	for step, put := range []func(){
		func() { s.Put(service("a").Key, service("a")); s.Put(service("b").Key, service("b")) },
		func() { s.Put(service("a").Key, service("a")) },
		func() { s.Put(service("b").Key, nil); s.Put(service("c").Key, nil) },
		func() {},
	} {
		put()
		s.Flush(nil)
		p, _ := sink.Picture()
		want := []struct{ services, reports, removals int }{{2, 2, 0}, {2, 2, 0}, {1, 2, 1}, {1, 2, 1}}[step]
		if len(p.Services) != want.services || p.Reports != want.reports || p.Removals != want.removals {
			t.Errorf("step %d: %d services, %d reports, %d removals; want %+v", step, len(p.Services), p.Reports, p.Removals, want)
		}
	}
	if !s.Whole() || !s.Has(service("a").Key) || s.Has(service("b").Key) {
		t.Error("what is reported is not known")
	}
}

// TestEveryFieldOfAServiceCounts changes each field, of whatever depth, and expects another digest.
func TestEveryFieldOfAServiceCounts(t *testing.T) {
	plain := digestOf(service("a"))
	var walk func(path string, at func(*sources.Service) reflect.Value)
	walk = func(path string, at func(*sources.Service) reflect.Value) {
		other := service("a")
		v := at(other)
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, func(s *sources.Service) reflect.Value { return at(s).Field(i) })
			}
			return
		case reflect.Slice:
			walk(path+"[0]", func(s *sources.Service) reflect.Value { return at(s).Index(0) })
			v.Set(reflect.Zero(v.Type()))
		case reflect.Map:
			v.Set(reflect.ValueOf(map[string]string{"k": "other"}))
		case reflect.String:
			v.SetString("other")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Uint32:
			v.SetUint(77)
		default:
			t.Fatalf("%s: a field of kind %s", path, v.Kind())
		}
		if digestOf(other) == plain {
			t.Errorf("%s does not count", path)
		}
	}
	walk("Service", func(s *sources.Service) reflect.Value { return reflect.ValueOf(s).Elem() })
}
