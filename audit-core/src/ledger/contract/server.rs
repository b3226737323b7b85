//! Real servers for the tests, started on free ports and ended with the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) struct Server {
    command: Command,
    child: Child,
    pub(super) port: u16,
}

impl Server {
    pub(super) fn start(program: &str, arguments: impl Fn(u16) -> Vec<String>) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(arguments(port)).stdout(Stdio::null()).stderr(Stdio::null());
        let child = spawn(&mut command, port);
        Self { command, child, port }
    }

    pub(super) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again on its port.
    pub(super) fn start_again(&mut self) {
        self.child = spawn(&mut self.command, self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn spawn(command: &mut Command, port: u16) -> Child {
    let name = command.get_program().to_owned();
    let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}; it must be installed", name.display()));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let began = Instant::now();
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        assert!(began.elapsed() < Duration::from_mins(1), "{} did not come up", name.display());
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}
