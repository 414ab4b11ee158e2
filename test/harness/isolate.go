package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// insideVariable marks the process that runs inside the namespaces.
const insideVariable = "MESHBRIDGE_TEST_ISOLATED"

// Isolate runs the test binary again in namespaces of its own and exits with its result; called inside them it returns. It is
// the first call of TestMain. It needs root, or a kernel that lets users make user namespaces. The steps run before, outside,
// where there is a network; what they return runs after.
func Isolate(steps ...func() (cleanup func(), err error)) {
	if os.Getenv(insideVariable) != "" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the test's namespaces:", err)
			os.Exit(1)
		}
		return
	}
	var cleanups []func()
	for _, step := range steps {
		cleanup, err := step()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		cleanups = append(cleanups, cleanup)
	}
	code, err := again()
	for _, cleanup := range cleanups {
		cleanup()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "run the tests in namespaces of their own: %v\nThey start servers that listen on every address, and only "+
			"a network namespace keeps those private. Run as root, or allow unprivileged user namespaces.\n", err)
	}
	os.Exit(code)
}

// again runs this binary with the same arguments in new namespaces. Signals are passed on; the kernel ends everything in
// there when either process dies.
func again() (int, error) {
	runtime.LockOSThread() // Pdeathsig is tied to the thread that started the child
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// prepare brings up loopback and one other interface, makes 10.0.0.0/8 local, and gives this mount namespace its own /proc and /etc/hosts.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := addBridge("eth0"); err != nil {
		return fmt.Errorf("add the interface eth0: %w", err)
	}
	for _, link := range []struct {
		name, address string
		prefix        int
	}{{"lo", "127.0.0.1", 8}, {"lo:1", "10.0.0.5", 8}, {"eth0", "10.255.255.1", 32}} {
		if err := up(link.name, link.address, link.prefix); err != nil {
			return fmt.Errorf("bring %s up: %w", link.name, err)
		}
	}
	return mountHosts()
}

// addBridge makes an interface that leads nowhere. Istiod looks for its own address on interfaces other than loopback, and
// names none to its config sources when it finds none, as it never is in a cluster.
func addBridge(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	text, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCBRADDBR, uintptr(unsafe.Pointer(text))); errno != 0 {
		return errno
	}
	return nil
}

// up gives an interface its address and brings it up.
func up(name, address string, prefix int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, step := range []struct {
		request uint
		address []byte
	}{{unix.SIOCSIFADDR, net.ParseIP(address).To4()}, {unix.SIOCSIFNETMASK, net.CIDRMask(prefix, 32)}} {
		ifreq, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := ifreq.SetInet4Addr(step.address); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, step.request, ifreq); err != nil {
			return err
		}
	}
	ifreq, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifreq.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifreq)
}

const localhost = "127.0.0.1 localhost\n::1 localhost\n"

// mountHosts lays a file of the tests' own over /etc/hosts. Its name goes at once, so nothing is left behind.
func mountHosts() error {
	f, err := os.CreateTemp("", "meshbridge-test-hosts-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString(localhost); err != nil {
		return err
	}
	if err := unix.Mount(f.Name(), "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount /etc/hosts: %w", err)
	}
	return nil
}
