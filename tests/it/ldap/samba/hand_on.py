"""Hands every connection of the listening socket that is its standard input on to a port of
127.0.0.1. The socket was made outside of the network namespace in which this runs."""

import socket
import sys
import threading

port = int(sys.argv[1])


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def hand_on(client):
    try:
        server = socket.create_connection(("127.0.0.1", port))
    except OSError:
        client.close()
        return
    back = threading.Thread(target=copy, args=(server, client), daemon=True)
    back.start()
    copy(client, server)
    back.join()
    server.close()
    client.close()


with socket.socket(fileno=0) as listener:
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=hand_on, args=(accepted,), daemon=True).start()
