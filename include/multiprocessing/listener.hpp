/// \file
/// Connections between processes that know nothing of each other but an address: over Unix sockets and TCP.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <multiprocessing/connection.hpp>
#include <multiprocessing/detail/wait_limit.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/export.hpp>

namespace mp {

/// How a Listener is set up.
struct ListenerOptions {
    /// Both sides must have the same key, and prove it to each other without sending it. Without one anybody who
    /// reaches the address is let in. An empty text is a key. Values are not encrypted: over networks that others can
    /// read use a tunnel.
    std::optional<std::string> authkey{};
    /// How many clients may wait for accept(); the kernel's limit applies too.
    int backlog = 64;
    /// How long a client may take to prove its key before it is dropped.
    std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(5);
    /// Of the file of a Unix socket: who may connect.
    unsigned permissions = 0600;
};

/// How a Client connects.
struct ClientOptions {
    std::optional<std::string> authkey{};  ///< see ListenerOptions
    /// For connecting and the handshake together.
    std::chrono::nanoseconds timeout = std::chrono::seconds(20);
};

/// Waits at an address for clients.
///
/// An address is a text: `/path/of/a/socket` (or `unix:` and a path), `@name` for an abstract Unix socket, which has no
/// file, `host:port` or `[::1]:port` for TCP. TCP listens at loopback when the host is empty or `localhost`, at every
/// address of the machine when it is `*`; port 0 takes a free one. A socket file that a killed listener left is
/// replaced, one that somebody listens at is not; close() removes it.
///
/// What arrives before the key is proved is limited in size and time: at most 80 bytes are read of a client and at most
/// 64 clients may be in their handshakes at once - the longest silent one is dropped for a newcomer. They hold up
/// nobody. One thread at a time. In a process that forks the child has the socket too; only the creator removes the
/// file.
class MP_EXPORT Listener {
  public:
    /// Without an address: an abstract Unix socket with a random name. Throws Error for what is no address, SystemError
    /// when it is in use or the system refuses.
    explicit Listener(const std::string& address = {}, ListenerOptions options = {});
    Listener(Listener&& other) noexcept;
    Listener& operator=(Listener&& other) noexcept;
    ~Listener();

    /// The next client: `auto connection = listener.accept<Reply, Request>();`. Throws AuthenticationError when one had
    /// another key or none (the loop may go on: it is gone), Closed after close(), SystemError when descriptors ran
    /// out. Clients that are silent, leave, or speak something else are dropped without a word.
    template <class Send, class Receive = Send>
    Connection<Send, Receive> accept() {
        return Connection<Send, Receive>(take(detail::forever));
    }
    /// Nothing when no client came in time.
    template <class Send, class Receive = Send, class Rep, class Period>
    std::optional<Connection<Send, Receive>> accept_for(std::chrono::duration<Rep, Period> limit) {
        auto stream = take(detail::wait_limit(limit));
        if (!stream) return std::nullopt;
        return Connection<Send, Receive>(std::move(stream));
    }
    /// Nothing when no client is there.
    template <class Send, class Receive = Send>
    std::optional<Connection<Send, Receive>> try_accept() {
        return accept_for<Send, Receive>(std::chrono::seconds(0));
    }

    /// Whether accept would not wait. Goes on with handshakes that are under way.
    bool poll() { return wait_acceptable(detail::not_at_all); }
    /// Whether accept would not wait; waits for that at most so long.
    template <class Rep, class Period>
    bool poll(std::chrono::duration<Rep, Period> limit) {
        return wait_acceptable(detail::wait_limit(limit));
    }
    /// For poll, epoll and the like: readable when there may be something to accept; then call try_accept(). Valid
    /// until close().
    int fileno() const;

    /// As clients on this machine write it; with the port that was taken.
    const std::string& address() const;
    /// Where the client that accept() returned last comes from; empty for a Unix socket without a name, and before.
    const std::string& last_accepted() const;

    /// No more clients; connections that were accepted stay. Does nothing the second time.
    void close();
    /// Whether close() was called.
    bool closed() const noexcept;

    /// \cond internal
    std::shared_ptr<detail::StreamEnd> internal_take(detail::WaitLimit limit) { return take(limit); }
    /// \endcond

  private:
    struct Core;

    Core& open_core() const;
    std::shared_ptr<detail::StreamEnd> take(detail::WaitLimit limit);
    bool wait_acceptable(detail::WaitLimit limit);

    std::unique_ptr<Core> core_;
};

namespace detail {

MP_EXPORT std::shared_ptr<StreamEnd> connect_stream(const std::string& address, const ClientOptions& options);

}  // namespace detail

/// Connects to a Listener: `auto connection = mp::Client<Request, Reply>("localhost:6000", {.authkey = "secret"});`.
/// Throws AuthenticationError when the keys differ, SystemError when nobody listens there or the time ran out, Closed
/// when the listener went away meanwhile, Error for what is no address. Without a key it does not wait for accept: that
/// the listener asks for a key is then an AuthenticationError of the first receive.
template <class Send, class Receive = Send>
Connection<Send, Receive> Client(const std::string& address, const ClientOptions& options = {}) {
    return Connection<Send, Receive>(detail::connect_stream(address, options));
}

}  // namespace mp
