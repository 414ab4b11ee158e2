package admin

// Routes lists what is answered, with the query parameters of each, for comparison with what is documented.
func (s *Server) Routes() map[string][]string {
	out := map[string][]string{}
	for _, r := range s.routes() {
		out[r.path] = r.query
	}
	return out
}
