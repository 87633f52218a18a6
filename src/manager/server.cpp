#include "manager/server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include <multiprocessing/wait.hpp>

#include "os/fork_private.hpp"
#include "os/unique_fd.hpp"
#include "serial/exception_record.hpp"

namespace mp::manager {

using base::Deadline;

namespace {

Server* server_of_this_process = nullptr;  // set and cleared by the main thread, outside of serve()
thread_local const ReplyScope* reply_of_thread = nullptr;

constexpr auto patience_at_the_end = std::chrono::seconds(2);

}  // namespace

const ReplyScope* current_reply() { return reply_of_thread; }

Server::Server(std::uint64_t id, std::string address) : id_(id), address_(std::move(address)) {
    server_of_this_process = this;
}

Server::~Server() {
    server_of_this_process = nullptr;  // proxies in the objects drop nothing any more
    objects_.clear();
}

Server* Server::local() { return server_of_this_process; }

std::shared_ptr<Server::Object> Server::find(std::uint64_t object) {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(object);
    if (found == objects_.end())
        throw Error(
            "the managed object is gone: nobody kept a proxy of it (whoever sends one keeps it until it has arrived)");
    return found->second;
}

void Server::call(From from, std::uint64_t object, Code* code, serial::Reader& in, serial::Writer& out) {
    const auto found = find(object);
    detail::ManagedCall call{in, out, &found->referent, {}};
    if (!found->referent.one_by_one) return code(call);
    const std::lock_guard lock(found->one_by_one);
    if (from == From::client && caller_is_gone()) throw Closed("the client of this call is gone");
    code(call);
}

Server::Client& Server::known(std::uint64_t client) {
    if (client == itself) return clients_[itself];
    const auto found = clients_.find(client);
    if (found == clients_.end()) throw Closed("the client of this call is gone");
    return found->second;
}

std::uint64_t Server::make(std::uint64_t client, Code* code, serial::Reader& in) {
    serial::Writer none;
    detail::ManagedCall call{in, none, nullptr, {}};
    code(call);
    if (!call.made.object) throw SerializationError("the request to a manager makes no object");
    auto object = std::make_shared<Object>();
    object->referent = std::move(call.made);
    object->references = 1;
    const std::lock_guard lock(mutex_);
    ++known(client).references[++last_object_];
    objects_.emplace(last_object_, std::move(object));
    return last_object_;
}

void Server::keep(std::uint64_t client, std::uint64_t object) {
    const auto found = find(object);
    const std::lock_guard lock(mutex_);
    if (!objects_.contains(object)) throw Error("the managed object is gone: nobody kept a proxy of it");
    ++known(client).references[object];
    ++found->references;
}

void Server::let_go(std::uint64_t object, std::uint64_t references, std::vector<std::shared_ptr<Object>>& unused) {
    const auto found = objects_.find(object);
    if (found == objects_.end() || (found->second->references -= references) != 0) return;
    unused.push_back(std::move(found->second));
    objects_.erase(found);
}

void Server::drop(std::uint64_t client, std::uint64_t object) noexcept {
    std::vector<std::shared_ptr<Object>> unused;  // destroyed after the lock: its own proxies drop others
    const std::lock_guard lock(mutex_);
    const auto known = clients_.find(client);
    if (known == clients_.end()) return;
    const auto held = known->second.references.find(object);
    if (held == known->second.references.end()) return;
    if (--held->second == 0) known->second.references.erase(held);
    let_go(object, 1, unused);
}

std::shared_ptr<ClientLife> Server::welcome(const Hello& hello) {
    const std::lock_guard lock(mutex_);
    if (hello.client == itself || (hello.server != 0 && hello.server != id_)) return nullptr;
    if (hello.anchor == clients_.contains(hello.client)) return nullptr;
    return clients_[hello.client].life;
}

void Server::client_ended(std::uint64_t client) noexcept {
    std::vector<std::shared_ptr<Object>> unused, watching;
    {
        const std::lock_guard lock(mutex_);
        const auto known = clients_.find(client);
        if (known == clients_.end()) return;
        known->second.life->dead.store(true, std::memory_order_release);
        for (const auto& [number, object] : objects_)
            if (object->referent.watcher) watching.push_back(object);
        for (const auto& [object, references] : known->second.references) let_go(object, references, unused);
        clients_.erase(known);
    }
    for (const auto& object : watching) object->referent.watcher->client_died(client);
}

void Server::answer(detail::StreamEnd& stream, Session& session) {
    serial::Reader in(stream.bytes(), stream.handles());
    serial::Writer out;
    out.set_leaves_machine(!stream.is_unix());
    serial::encode(out, Answer::value);
    const ReplyScope scope{&out, session.caller.client};
    bool answered = true;
    try {
        const Request request = decode_request(in);
        session.caller.thread = request.thread;
        const ServeScope serving(&session);
        struct Reply {
            const ReplyScope* before;
            ~Reply() { reply_of_thread = before; }
        } const reply{std::exchange(reply_of_thread, &scope)};
        const auto code = [&] { return detail::resolve<detail::ManagedEntry>(*request.entry).code; };
        switch (request.kind) {
            case RequestKind::call:
                call(From::client, request.object, code(), in, out);
                break;
            case RequestKind::make:
                serial::encode(out, make(session.caller.client, code(), in));
                break;
            case RequestKind::keep:
                keep(session.caller.client, request.object);
                break;
            case RequestKind::drop:
                drop(session.caller.client, request.object);
                answered = false;
                break;
        }
    } catch (...) {
        const auto record = serial::encode_exception(serial::capture_exception(std::current_exception()));
        out.clear();
        serial::encode(out, Answer::exception);
        out.write(record.data(), record.size());
    }
    stream.release();
    if (!answered) return;
    try {
        stream.send(out.bytes(), out.handles(), Deadline::never());
    } catch (const SerializationError&) {
        // Handles over TCP: the client is told instead.
        const auto record = serial::encode_exception(serial::capture_exception(std::current_exception()));
        out.clear();
        serial::encode(out, Answer::exception);
        out.write(record.data(), record.size());
        stream.send(out.bytes(), {}, Deadline::never());
    }
}

void Server::serve_requests(detail::StreamEnd& stream) {
    // Who has proved to have the key and then says nothing has its thread and nothing else.
    if (!stream.receive(Deadline::after(std::chrono::seconds(10)))) return;
    serial::Reader first(stream.bytes());
    const Hello hello = serial::decode<Hello>(first);
    first.finish();
    stream.release();
    const auto life = welcome(hello);
    struct Farewell {
        Server& server;
        std::uint64_t client;
        bool anchored;
        ~Farewell() {
            if (anchored) server.client_ended(client);
        }
    } const farewell{*this, hello.client, life && hello.anchor};
    serial::Writer reply;
    serial::encode(reply, HelloReply{life != nullptr, id_, ::getpid()});
    stream.send(reply.bytes(), {}, Deadline::never());
    if (!life) return;
    Session session{{hello.client, 0}, stream.fd(), life.get()};
    for (;;) {
        stream.receive(Deadline::never());
        answer(stream, session);
    }
}

void Server::serve_connection(std::shared_ptr<detail::StreamEnd> stream) noexcept {
    // Not in a fork that code here makes of this process: clients must see the end of the server, not of that.
    os::ForkPrivateFd socket(os::UniqueFd(stream->fd()));
    try {
        serve_requests(*stream);
    } catch (...) {
        // The client left, or speaks nonsense: its connection ends, nobody else's.
    }
    const std::lock_guard lock(mutex_);
    connections_.erase(stream.get());
    stream->abandon();
    socket.reset();
    ended_.notify_all();
}

bool Server::serve(Listener& listener, Connection<void, int>& control) {
    for (;;) {
        try {
            const auto ready = wait({control, listener});
            if (!ready.empty() && ready.front() == 0) break;
            auto stream = listener.internal_take(detail::not_at_all);
            if (!stream) continue;
            {
                const std::lock_guard lock(mutex_);
                connections_.emplace(stream.get(), stream->fd());
            }
            try {
                std::thread(&Server::serve_connection, this, stream).detach();
            } catch (...) {
                const std::lock_guard lock(mutex_);
                connections_.erase(stream.get());
            }
        } catch (const AuthenticationError&) {
            continue;
        } catch (const SystemError&) {
            // No descriptor is left: clients wait until one is.
            if (control.poll(std::chrono::milliseconds(50))) break;
        }
    }
    listener.close();
    std::unique_lock lock(mutex_);
    // Whoever waits in a call leaves it: its client counts as gone.
    for (const auto& [stream, socket] : connections_) ::shutdown(socket, SHUT_RDWR);
    return ended_.wait_for(lock, patience_at_the_end, [&] { return connections_.empty(); });
}

}  // namespace mp::manager
