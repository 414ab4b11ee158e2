package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"time"
)

// Nothing stands where a call has no argument or no result.
type Nothing struct{}

// Pace is how changes are made: Count of them from number First on, one each Interval.
type Pace struct {
	First, Count int
	Interval     time.Duration
	Profile      string // file for a CPU profile, or ""
}

// Paced is what making changes took.
type Paced struct {
	At   []int64       // when each change was made, Unix nanoseconds
	Late time.Duration // how far the last one was behind its time
	CPU  time.Duration // of the process that made and served them, with a second more for what was still under way
}

// settle is how long a process is watched after its last change.
const settle = time.Second

// run makes changes at the pace.
func (p Pace) run(change func(n int) error) (Paced, error) {
	result := Paced{At: make([]int64, 0, p.Count)}
	cpu, err := measured(p.Profile, func() error {
		start := time.Now()
		for i := range p.Count {
			due := start.Add(time.Duration(i) * p.Interval)
			time.Sleep(time.Until(due))
			result.Late = time.Since(due)
			result.At = append(result.At, time.Now().UnixNano())
			if err := change(p.First + i); err != nil {
				return fmt.Errorf("change %d: %w", p.First+i, err)
			}
		}
		time.Sleep(settle)
		return nil
	})
	result.CPU = cpu
	return result, err
}

// child is a process of this binary in a role, which answers calls.
type child struct {
	*rpc.Client
	role string
	cmd  *exec.Cmd
}

type pipes struct {
	io.Reader
	io.WriteCloser
}

// serve answers calls to the service from standard input until that ends.
func serve(service any) error {
	server := rpc.NewServer()
	if err := server.RegisterName("Role", service); err != nil {
		return err
	}
	server.ServeConn(pipes{os.Stdin, os.Stdout})
	return nil
}

// startChild starts a process in a role. It is killed when ctx ends.
func startChild(ctx context.Context, role string) (*child, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s process: %w", role, err)
	}
	return &child{Client: rpc.NewClient(pipes{out, in}), role: role, cmd: cmd}, nil
}

// do calls a method of the child's role.
func do[Result any](c *child, method string, args any) (Result, error) {
	var result Result
	if err := c.Call("Role."+method, args, &result); err != nil {
		return result, fmt.Errorf("%s: %s: %w", c.role, method, err)
	}
	return result, nil
}

// end ends the child and waits for it.
func (c *child) end() error {
	err := c.Close()
	c.cmd.Process.Kill()
	if wait := c.cmd.Wait(); wait != nil && c.cmd.ProcessState == nil {
		err = errors.Join(err, wait)
	}
	return err
}
