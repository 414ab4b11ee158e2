package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what a process has used.
type Usage struct {
	CPU       time.Duration // user and system, of all its threads
	RSS, Peak int64         // bytes resident now, and the most so far
	Heap      uint64        // bytes of live and not yet collected Go objects
	Held      uint64        // bytes that Go holds of the system's, for objects, stacks and its own
	Stacks    uint64        // bytes of stacks
	Next      uint64        // heap at which the next collection ends
	File      int64         // bytes resident of the binary
}

// usage of this process.
func usage() (Usage, error) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return Usage{}, fmt.Errorf("getrusage: %w", err)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	u, err := processUsage(os.Getpid())
	u.CPU, u.Heap = time.Duration(ru.Utime.Nano()+ru.Stime.Nano()), mem.HeapAlloc
	u.Held, u.Stacks, u.Next = mem.Sys-mem.HeapReleased, mem.StackInuse, mem.NextGC
	return u, err
}

// processUsage reads another process's CPU, in steps of 10 ms, and its memory.
func processUsage(pid int) (Usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Usage{}, err
	}
	// proc(5): utime and stime are fields 14 and 15; the name before them may contain spaces, and ends in a parenthesis.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return Usage{}, fmt.Errorf("read %s/stat: %d fields", dir, len(fields))
	}
	var u Usage
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("read %s/stat: %w", dir, err)
		}
		u.CPU += time.Duration(ticks) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return Usage{}, err
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch key {
		case "VmRSS":
			u.RSS = n << 10
		case "RssFile":
			u.File = n << 10
		case "VmHWM":
			u.Peak = n << 10
		}
	}
	return u, nil
}

// processWith finds the process of which the command line contains the argument.
func processWith(argument string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(line), "\x00"+argument+"\x00") {
			return strconv.Atoi(filepath.Base(filepath.Dir(f)))
		}
	}
	return 0, fmt.Errorf("no process has the argument %s", argument)
}

// writeHeap writes a heap profile.
func writeHeap(file string) error {
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	defer out.Close()
	return pprof.WriteHeapProfile(out)
}

// measured runs f and returns the CPU that this process used meanwhile. With a file name it writes a CPU profile.
func measured(profile string, f func() error) (time.Duration, error) {
	if profile != "" {
		out, err := os.Create(profile)
		if err != nil {
			return 0, fmt.Errorf("write a profile: %w", err)
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return 0, fmt.Errorf("write a profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	before, err := usage()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := usage()
	return after.CPU - before.CPU, err
}
