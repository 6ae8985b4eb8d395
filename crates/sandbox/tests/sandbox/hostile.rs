//! What hostile tools do. Each function runs inside the sandbox, started by a test; outside it does nothing.
//! All of them are bounded: they end by themselves, far from harming a machine.
#![allow(unsafe_code)] // hostile tools do not use safe wrappers

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

fn inside() -> bool {
    env::var_os("HOSTILE").is_some()
}

fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Says whether a thing that must not work worked.
fn attempt<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) {
    match result {
        Ok(_) => println!("WORKED {what}"),
        Err(error) => println!("refused {what}: {error}"),
    }
}

fn call(what: &str, result: i64) {
    attempt(
        what,
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        },
    );
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn fork_bomb() {
    if !inside() {
        return;
    }
    let mut made = 0;
    let mut refused = false;
    while made < 300 && !refused {
        match unsafe { libc::fork() } {
            0 => {
                thread::sleep(Duration::from_secs(20));
                unsafe { libc::_exit(0) }
            }
            -1 => refused = true,
            _ => made += 1,
        }
    }
    println!("made {made} refused {refused}");
    if !refused {
        // The watch has time to notice.
        thread::sleep(Duration::from_secs(20));
        println!("SURVIVED");
    }
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn memory_bomb() {
    if !inside() {
        return;
    }
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(vec![1_u8; 8 << 20]);
        thread::sleep(Duration::from_millis(20));
    }
    println!("SURVIVED with {} pieces", held.len());
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn memory_bomb_of_children() {
    if !inside() {
        return;
    }
    // No single process is over the limit; together they are.
    for _ in 0..8 {
        if unsafe { libc::fork() } == 0 {
            let held = vec![1_u8; 24 << 20];
            thread::sleep(Duration::from_secs(20));
            unsafe { libc::_exit(i32::from(held[0])) }
        }
    }
    thread::sleep(Duration::from_secs(20));
    println!("SURVIVED");
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn disk_filler() {
    if !inside() {
        return;
    }
    let dir = env::var("FILL").unwrap();
    for number in 0..100 {
        if fs::write(format!("{dir}/{number}"), vec![1; 1 << 20]).is_err() {
            break;
        }
    }
    // The watch has time to notice.
    thread::sleep(Duration::from_secs(20));
    println!("SURVIVED");
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn hidden_disk_filler() {
    if !inside() {
        return;
    }
    let dir = format!("{}/hidden", env::var("FILL").unwrap());
    fs::create_dir(&dir).unwrap();
    for number in 0..40 {
        fs::write(format!("{dir}/{number}"), vec![1; 1 << 20]).unwrap();
    }
    fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    thread::sleep(Duration::from_secs(20));
    println!("SURVIVED");
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn one_large_file() {
    if !inside() {
        return;
    }
    let mut file = fs::File::create(format!("{}/large", env::var("FILL").unwrap())).unwrap();
    for _ in 0..64 {
        file.write_all(&vec![1; 1 << 20]).unwrap();
    }
    println!("SURVIVED");
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn busy() {
    if !inside() {
        return;
    }
    let began = Instant::now();
    let threads: Vec<_> = (0..2)
        .map(|_| thread::spawn(move || while began.elapsed() < Duration::from_secs(30) {}))
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("SURVIVED");
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn open_files() {
    if !inside() {
        return;
    }
    let mut held = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        held.push(file);
    }
    println!("opened {}", held.len());
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn write_outside() {
    if !inside() {
        return;
    }
    for dir in env::var("WHERE").unwrap().split(':') {
        attempt(&format!("write below {dir}"), fs::write(format!("{dir}/escaped"), "x"));
    }
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/dev/vda",
        "/dev/sda",
        "/dev/mem",
    ] {
        attempt(
            &format!("open {path} to write"),
            fs::File::options().write(true).open(path),
        );
    }
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn read_outside() {
    if !inside() {
        return;
    }
    for path in env::var("WHERE").unwrap().split(':') {
        attempt(&format!("read {path}"), fs::read(path));
    }
    for dir in ["/home", "/etc/ssh", "/var/lib", "/var/log"] {
        let entries = fs::read_dir(dir).map(|entries| entries.count());
        let entries = if matches!(entries, Ok(0)) {
            Err(io::ErrorKind::NotFound.into())
        } else {
            entries
        };
        attempt(&format!("list {dir}"), entries);
    }
    for path in ["/etc/shadow", "/etc/gshadow", "/etc/sudoers"] {
        attempt(&format!("read {path}"), fs::read(path));
    }
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn connect() {
    if !inside() {
        return;
    }
    let tcp = env::var("TCP").unwrap();
    attempt("connect to the host's loopback", TcpStream::connect(&tcp));
    let udp = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", env::var("UDP").unwrap()));
    // With a loopback interface of its own, sending goes nowhere; the test looks at what arrives.
    println!("udp {udp:?}");
    let abstract_name = SocketAddr::from_abstract_name(env::var("ABSTRACT").unwrap()).unwrap();
    attempt(
        "connect to an abstract socket",
        UnixStream::connect_addr(&abstract_name),
    );
    attempt(
        "connect to a socket file",
        UnixStream::connect(env::var("SOCKET").unwrap()),
    );
    call(
        "make a packet socket",
        i64::from(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) }),
    );
    call(
        "make a vsock socket",
        i64::from(unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0) }),
    );
    call(
        "make a raw socket",
        i64::from(unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, 1) }),
    );
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn loopback_of_its_own() {
    if !inside() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"x").unwrap();
    let mut byte = [0; 1];
    listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
    println!("heard {}", byte[0]);
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn trace() {
    if !inside() {
        return;
    }
    let target: i32 = env::var("PID").unwrap().parse().unwrap();
    for (name, pid) in [
        ("a process of the host", target),
        ("the parent", unsafe { libc::getppid() }),
        ("process 1", 1),
    ] {
        call(&format!("trace {name}"), unsafe {
            libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0)
        });
        attempt(
            &format!("open the memory of {name}"),
            fs::File::open(format!("/proc/{pid}/mem")),
        );
        attempt(
            &format!("read the environment of {name}"),
            fs::read(format!("/proc/{pid}/environ")),
        );
        attempt(
            &format!("follow a file of {name}"),
            fs::File::open(format!("/proc/{pid}/fd/0")),
        );
        let mut byte = 0_u8;
        let mine = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        let theirs = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        call(
            &format!("copy from {name}"),
            unsafe { libc::process_vm_readv(pid, &mine, 1, &theirs, 1, 0) } as i64,
        );
    }
    call(
        "signal a process of the host",
        i64::from(unsafe { libc::kill(target, libc::SIGCONT) }),
    );
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn new_privileges() {
    if !inside() {
        return;
    }
    let flags = [
        ("user", libc::CLONE_NEWUSER),
        ("mount", libc::CLONE_NEWNS),
        ("network", libc::CLONE_NEWNET),
        ("process", libc::CLONE_NEWPID),
    ];
    for (name, flag) in flags {
        call(
            &format!("make a {name} namespace"),
            i64::from(unsafe { libc::unshare(flag) }),
        );
        let child = unsafe { libc::syscall(libc::SYS_clone, i64::from(flag | libc::SIGCHLD), 0, 0, 0, 0) };
        if child == 0 {
            unsafe { libc::_exit(0) }
        }
        call(&format!("clone into a {name} namespace"), child);
    }
    call(
        "become root",
        i64::from(unsafe { libc::setresuid(0, 0, 0) }).min(if unsafe { libc::geteuid() } == 0 { -1 } else { 0 }),
    );
    call("change the root", i64::from(unsafe { libc::chroot(c"/tmp".as_ptr()) }));
    call(
        "mount",
        i64::from(unsafe {
            libc::mount(
                c"none".as_ptr(),
                c"/tmp".as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                std::ptr::null(),
            )
        }),
    );
    call("load a program into the kernel", unsafe {
        libc::syscall(libc::SYS_bpf, 0, 0, 0)
    });
    call("use a ring of calls", unsafe {
        libc::syscall(libc::SYS_io_uring_setup, 1, 0)
    });
    call("open a key ring", unsafe { libc::syscall(libc::SYS_keyctl, 0, -3, 0) });
    #[cfg(target_arch = "x86_64")]
    {
        const X32: i64 = 0x4000_0000;
        call("call by the other number", unsafe {
            libc::syscall(X32 | libc::SYS_getpid)
        });
    }
    println!("last {}", last_error());
    print!("{}", fs::read_to_string("/proc/self/status").unwrap());
}

#[test]
#[ignore = "run inside the sandbox by other tests"]
fn look_around() {
    if !inside() {
        return;
    }
    println!(); // the test harness has begun a line
    for (name, _) in env::vars_os() {
        println!("variable {}", name.display());
    }
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        println!("file {} {:?}", entry.file_name().display(), fs::read_link(entry.path()));
    }
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    let pids = numbers.filter(|entry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok())
    });
    println!("processes {}", pids.count());
    println!("me {} parent {}", process::id(), unsafe { libc::getppid() });
    println!(
        "user {} {:?}",
        unsafe { libc::getuid() },
        fs::read_to_string("/etc/hostname")
    );
    let root = fs::read_dir("/").map(|entries| entries.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>());
    println!("root {root:?}");
}

/// Leaves a daemon behind that ignores every signal it can.
#[test]
#[ignore = "run inside the sandbox by other tests"]
fn daemon() {
    if !inside() {
        return;
    }
    unsafe {
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_IGN);
        }
        if libc::fork() == 0 {
            libc::setsid();
            if libc::fork() == 0 {
                libc::setpgid(0, 0);
                // Its parent is gone, its streams are closed, its session is its own.
                for file in 0..3 {
                    libc::close(file);
                }
                libc::sleep(120);
                libc::_exit(0);
            }
            libc::_exit(0);
        }
    }
    println!("left a daemon");
    if env::var_os("STAY").is_some() {
        io::stdout().flush().unwrap();
        thread::sleep(Duration::from_secs(120));
    }
}

/// A caller that is killed: runs a sandbox of its own, outside.
#[test]
#[ignore = "run by another test"]
fn caller() {
    let Some(level) = env::var("CALLER").ok() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = helve_sandbox::Options {
            at_most: Some(level.parse().unwrap()),
            keep_ready: true,
            ..Default::default()
        };
        let sandbox = helve_sandbox::Sandbox::open(options).await.unwrap();
        let mut spec = super::support::hostile("daemon").env("STAY", "1");
        *spec.argv.last_mut().unwrap() = env::var_os("MARK").unwrap();
        let mut running = sandbox.spawn(&spec).await.unwrap();
        while !sandbox.is_ready() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        println!("started");
        running.wait().await.unwrap();
    });
}
