//! The service as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::client::Exchange;

/// For what takes no time but the machine's.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Program {
    child: Child,
    pub address: SocketAddr,
}

impl Program {
    /// Start it with these options. Unless they say otherwise, nothing times out.
    pub fn start(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_subquad-service"))
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .args(
                ["--timeout", "600"]
                    .iter()
                    .filter(|_| !options.contains(&"--timeout")),
            )
            .args(
                ["--transfer-timeout", "600"]
                    .iter()
                    .filter(|_| !options.contains(&"--transfer-timeout")),
            )
            // Large blocks go back to the system when they are freed, so that the process's memory is what it uses.
            .env("MALLOC_MMAP_THRESHOLD_", "131072")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the program says where it listens");
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .expect("the program listens");
        let address = address.parse().expect("an address");
        Self { child, address }
    }

    pub fn metric(&self, name: &str) -> u64 {
        let request = b"GET /metrics HTTP/1.1\r\nHost: subquad\r\nConnection: close\r\n\r\n";
        let reply = Exchange::raw(self.address, request)
            .reply()
            .expect("the service replies");
        let line = reply
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(&format!("subquad_{name} ")));
        line.and_then(|number| number.parse().ok())
            .expect("a known metric")
    }

    /// Wait until a metric has a value.
    pub fn wait_for(&self, name: &str, value: u64) {
        let start = Instant::now();
        while self.metric(name) != value {
            assert!(
                start.elapsed() < PATIENCE,
                "{name} is {}, not {value}",
                self.metric(name)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The most memory that it had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("Linux keeps the peak");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kib << 10
    }

    pub fn terminate(&self) {
        let status = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(status.expect("kill").success());
    }

    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it was started")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
