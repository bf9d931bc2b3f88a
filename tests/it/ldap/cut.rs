//! A way to a directory that ends at a byte: what lies between two machines, and does not
//! know where an answer ends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is done when the byte has passed.
type AtTheCut = Box<dyn FnMut() + Send>;

struct State {
    passed: usize,
    upto: usize,
    at_the_cut: Option<AtTheCut>,
}

/// A relay before a directory server. It ends with the process.
pub(super) struct Cut {
    /// Where it listens.
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Cut {
    /// Starts one that cuts nothing.
    pub(super) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its own address");
        let state = Arc::new(Mutex::new(State {
            passed: 0,
            upto: usize::MAX,
            at_the_cut: None,
        }));
        let of_listener = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&of_listener);
                std::thread::spawn(move || relay(client, to, &state));
            }
        });
        Self { address, state }
    }

    /// From now on so many bytes of the server's pass, on all connections together.
    pub(super) fn cut_at(&self, upto: usize) {
        self.set(upto, None);
    }

    /// The same, and something else happens at that moment.
    pub(super) fn cut_and(&self, upto: usize, at_the_cut: impl FnMut() + Send + 'static) {
        self.set(upto, Some(Box::new(at_the_cut)));
    }

    fn set(&self, upto: usize, at_the_cut: Option<AtTheCut>) {
        *self.state.lock().expect("nobody panics with it") = State {
            passed: 0,
            upto,
            at_the_cut,
        };
    }

    /// How many bytes of the server's have passed.
    pub(super) fn passed(&self) -> usize {
        self.state.lock().expect("nobody panics with it").passed
    }
}

fn relay(mut client: TcpStream, to: SocketAddr, state: &Mutex<State>) {
    let Ok(mut server) = TcpStream::connect(to) else {
        return;
    };
    let mut from_client = client.try_clone().expect("a second handle");
    let mut to_server = server.try_clone().expect("a second handle");
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        let (pass, cut) = {
            let mut state = state.lock().expect("nobody panics with it");
            let pass = length.min(state.upto - state.passed);
            state.passed += pass;
            let cut = state.passed == state.upto;
            if cut && let Some(mut at_the_cut) = state.at_the_cut.take() {
                at_the_cut();
            }
            (pass, cut)
        };
        if client.write_all(&buffer[..pass]).is_err() || cut {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
