//! A cluster in a process: real sockets, real packets, a real firewall.
