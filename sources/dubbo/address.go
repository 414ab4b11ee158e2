package dubbo

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Address returns an instance's address in one spelling: an IP address that others can reach, or a host name.
func Address(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		switch {
		case addr.Zone() != "":
			return "", fmt.Errorf("address %s has a zone, which means nothing on other machines", host)
		case addr.IsUnspecified():
			return "", fmt.Errorf("address %s stands for no machine", host)
		}
		return addr.Unmap().String(), nil
	}
	if host == "" {
		return "", errors.New("no address")
	}
	if !hostName(host) {
		return "", fmt.Errorf("address %q is neither an IP address nor a host name", host)
	}
	return host, nil
}

// hostName accepts names that a resolver can be asked for. A last label of digits is a broken IPv4 address.
func hostName(s string) bool {
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	if len(s) > 253 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}
