package sources

// Remembered is how much the guard of a scope remembers of what went: instances, endpoints, places in its queue.
func (m *Mirror) Remembered(source, scope string) (instances, endpoints, queued int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.sources[source].scopes[scope].guard
	for _, a := range g.absences {
		instances += len(a.instances)
	}
	return instances, len(g.at), len(g.queue)
}
