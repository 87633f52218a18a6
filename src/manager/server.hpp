// A manager's server: objects, the clients that refer to them, and a thread for each connection.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <multiprocessing/connection.hpp>
#include <multiprocessing/detail/managed_call.hpp>
#include <multiprocessing/listener.hpp>

#include "channel/stream_end.hpp"
#include "manager/session.hpp"
#include "manager/wire.hpp"

namespace mp::manager {

class Server {
  public:
    using Code = detail::ManagedEntry::Signature;
    /// The client number of the server itself: its containers hold proxies too.
    static constexpr std::uint64_t itself = 0;

    Server(std::uint64_t id, std::string address);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    /// The server that runs in this process; null in others.
    static Server* local();

    std::uint64_t id() const { return id_; }
    const std::string& address() const { return address_; }

    /// Serves clients until the other end of `control` is gone. False when calls of the user's code still run: then the
    /// process cannot be taken down in order.
    bool serve(Listener& listener, Connection<void, int>& control);

    // What clients ask for, and this process itself. Any thread.
    enum class From { client, code };
    /// From a client a call is not begun once that is gone. From code that runs here, for whomever, it always is: what
    /// that has begun may need it for its end.
    void call(From from, std::uint64_t object, Code* code, serial::Reader& in, serial::Writer& out);
    std::uint64_t make(std::uint64_t client, Code* code, serial::Reader& in);
    /// Throws Error when there is no such object any more.
    void keep(std::uint64_t client, std::uint64_t object);
    void drop(std::uint64_t client, std::uint64_t object) noexcept;

  private:
    struct Object {
        Object() = default;
        Object(const Object&) = delete;
        Object& operator=(const Object&) = delete;
        /// Destructors use proxies and do not throw; so they run for no client, which could be gone.
        ~Object() {
            const ServeScope nobody(nullptr);
            referent.object.reset();
        }

        detail::Referent referent;
        std::recursive_mutex one_by_one;  // of a call that calls its own object again, too
        std::uint64_t references = 0;     // of all clients; guarded by the server's mutex
    };
    struct Client {
        std::shared_ptr<ClientLife> life = std::make_shared<ClientLife>();
        std::unordered_map<std::uint64_t, std::uint64_t> references;  // by object
    };

    void serve_connection(std::shared_ptr<detail::StreamEnd> stream) noexcept;
    void serve_requests(detail::StreamEnd& stream);
    void answer(detail::StreamEnd& stream, Session& session);
    std::shared_ptr<ClientLife> welcome(const Hello& hello);
    void client_ended(std::uint64_t client) noexcept;
    void let_go(std::uint64_t object, std::uint64_t references, std::vector<std::shared_ptr<Object>>& unused);
    std::shared_ptr<Object> find(std::uint64_t object);
    Client& known(std::uint64_t client);

    const std::uint64_t id_;
    const std::string address_;

    std::mutex mutex_;  // guards what follows; never held while foreign code runs
    std::unordered_map<std::uint64_t, std::shared_ptr<Object>> objects_;
    std::uint64_t last_object_ = 0;
    std::map<std::uint64_t, Client> clients_;
    std::map<detail::StreamEnd*, int> connections_;
    bool stopping_ = false;
    std::condition_variable ended_;  // a connection was
};

/// While a result is encoded for a client: a proxy in it comes with a reference for that client.
struct ReplyScope {
    const serial::Writer* writer;
    std::uint64_t client;
};
const ReplyScope* current_reply();

}  // namespace mp::manager
