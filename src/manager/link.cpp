#include "manager/link.hpp"

#include <unistd.h>

#include <multiprocessing/errors.hpp>
#include <multiprocessing/listener.hpp>

#include "channel/raise.hpp"
#include "manager/server.hpp"
#include "net/stream.hpp"
#include "os/own_pid.hpp"
#include "os/packet.hpp"
#include "serial/exception_record.hpp"

namespace mp::detail {

using base::Deadline;
using manager::Request;
using manager::RequestKind;
using manager::Server;

namespace {

constexpr std::size_t most_idle = 8;

// The links of this process. Never destroyed: static proxies may end after it. A forked child starts with none.
struct Links {
    std::mutex mutex;
    std::map<std::uint64_t, std::weak_ptr<ManagerLink>> by_server;
    pid_t owner = os::own_pid();
};
Links& links() {
    static Links* it = new Links;  // NOLINT(cppcoreguidelines-owning-memory)
    if (it->owner != os::own_pid()) it = new Links;
    return *it;
}

std::uint64_t random_number() {
    std::uint64_t number = 0;
    while (number == 0)
        if (const auto filled = net::fill_random(std::as_writable_bytes(std::span(&number, 1))); !filled)
            channel::raise(filled.error(), "cannot get a random number");
    return number;
}

Server& local_server() {
    if (Server* server = Server::local()) return *server;
    throw Closed("the manager of this process has ended");
}

}  // namespace

/// A connection. In a forked child the kernel's half is gone (ForkPrivateFd), so that the server sees this process die
/// however many forks of it there are.
struct ManagerLink::Line {
    explicit Line(std::shared_ptr<StreamEnd> connected)
        : stream(std::move(connected)), fd(os::UniqueFd(stream->fd())) {}
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    ~Line() { stream->abandon(); }

    std::shared_ptr<StreamEnd> stream;
    os::ForkPrivateFd fd;  // the owner; destroyed after the stream has let go
};

ManagerLink::ManagerLink(std::string address, std::optional<std::string> key)
    : address_(std::move(address)), key_(std::move(key)), process_(os::own_pid()), client_(random_number()) {}

ManagerLink::~ManagerLink() = default;

std::shared_ptr<ManagerLink> ManagerLink::find(std::uint64_t server) {
    Links& all = links();
    const std::lock_guard lock(all.mutex);
    const auto found = all.by_server.find(server);
    if (found != all.by_server.end()) {
        if (auto link = found->second.lock()) return link;
    }
    Server* local = Server::local();
    if (!local || local->id() != server) return nullptr;
    auto link = std::make_shared<ManagerLink>(local->address(), std::nullopt);
    link->server_ = server;
    link->server_pid_ = os::own_pid();
    link->local_ = true;
    all.by_server[server] = link;
    return link;
}

std::shared_ptr<ManagerLink> ManagerLink::open(std::uint64_t server, const std::string& address,
                                               const std::optional<std::string>& key) {
    if (server != 0)
        if (auto known = find(server)) return known;
    auto link = std::make_shared<ManagerLink>(address, key);
    link->connect_anchor(server);
    if (auto known = find(link->server_)) return known;  // another thread was faster, or an address has two names
    Links& all = links();
    const std::lock_guard lock(all.mutex);
    std::erase_if(all.by_server, [](const auto& one) { return one.second.expired(); });
    all.by_server[link->server_] = link;
    return link;
}

std::shared_ptr<ManagerLink> ManagerLink::here() {
    if (process_ == os::own_pid()) [[likely]]
        return shared_from_this();
    return open(server_, address_, key_);
}

void ManagerLink::tell_end(std::function<std::string()> how) {
    const std::lock_guard lock(mutex_);
    how_it_ended_ = std::move(how);
}

void ManagerLink::throw_ended() {
    std::function<std::string()> how;
    {
        const std::lock_guard lock(mutex_);
        how = how_it_ended_;
    }
    std::string text = "the manager at \"" + address_ + '"';
    if (server_pid_ != 0) text += " (process " + std::to_string(server_pid_) + ')';
    const std::string end = how ? how() : std::string();
    throw Closed(text + (end.empty() ? " is gone" : " has ended: " + end));
}

namespace {

std::shared_ptr<StreamEnd> say_hello(const std::string& address, const std::optional<std::string>& key,
                                     const manager::Hello& hello, manager::HelloReply& reply) {
    auto stream = connect_stream(address, {.authkey = key});
    serial::Writer writer;
    serial::encode(writer, hello);
    stream->send(writer.bytes(), {}, Deadline::never());
    stream->receive(Deadline::never());
    serial::Reader reader(stream->bytes());
    reply = serial::decode<manager::HelloReply>(reader);
    reader.finish();
    stream->release();
    return stream;
}

/// Whether connecting failed because nobody is there any more.
bool says_gone(const SystemError& error) {
    const int number = error.code().value();
    return number == ECONNREFUSED || number == ENOENT || number == ECONNRESET;
}

}  // namespace

void ManagerLink::connect_anchor(std::uint64_t expected) {
    manager::HelloReply reply;
    try {
        auto stream = say_hello(address_, key_, {expected, client_, true}, reply);
        if (reply.welcome) {
            over_network_ = !stream->is_unix();
            server_ = reply.server;
            server_pid_ = reply.pid;
            anchor_ = std::make_unique<Line>(std::move(stream));
            return;
        }
    } catch (const SystemError& error) {
        // A proxy outlived its server; for who gives an address the reason counts.
        if (expected == 0 || !says_gone(error)) throw;
    } catch (const Closed&) {
        if (expected == 0) throw;
    }
    throw_ended();
}

std::unique_ptr<ManagerLink::Line> ManagerLink::take_line() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            auto line = std::move(idle_.back());
            idle_.pop_back();
            return line;
        }
    }
    // Whoever may still listen there in its place - a fork of it - would not answer.
    if (os::other_end_gone(anchor_->fd.get())) throw_ended();
    manager::HelloReply reply;
    try {
        auto stream = say_hello(address_, key_, {server_, client_, false}, reply);
        if (reply.welcome) return std::make_unique<Line>(std::move(stream));
    } catch (const SystemError& error) {
        if (!says_gone(error)) throw;
    } catch (const Closed&) {
    }
    throw_ended();
}

ManagedReply ManagerLink::ask(const Request& request, const serial::Writer& arguments) {
    serial::Writer message;
    manager::encode_request(message, request);
    message.write(arguments.bytes().data(), arguments.bytes().size());
    auto line = take_line();
    StreamEnd& stream = *line->stream;
    ManagedReply reply;
    bool failed = false;
    try {
        stream.send(message.bytes(), arguments.handles(), Deadline::never());
        stream.receive(Deadline::never());
        serial::Reader reader(stream.bytes());
        const auto answer = serial::decode<manager::Answer>(reader);
        failed = answer != manager::Answer::value;
        reply.bytes.assign(stream.bytes().begin() + sizeof answer, stream.bytes().end());
        reply.handles.assign(stream.handles().begin(), stream.handles().end());
        stream.release();
    } catch (const Closed&) {
        line.reset();
        throw_ended();
    }
    {
        const std::lock_guard lock(mutex_);
        if (idle_.size() < most_idle) idle_.push_back(std::move(line));
    }
    if (failed) std::rethrow_exception(serial::to_exception(serial::decode_exception(reply.bytes), {}));
    return reply;
}

std::shared_ptr<ProxyState> ManagerLink::refer(std::uint64_t object, bool granted) {
    std::unique_lock lock(mutex_);
    if (auto known = proxies_[object].lock()) {
        lock.unlock();
        if (granted) dropped(object);
        return known;
    }
    lock.unlock();
    if (!granted) {
        if (local_)
            local_server().keep(Server::itself, object);
        else
            (void)ask({RequestKind::keep, manager::thread_number(), object, {}}, serial::Writer());
    }
    auto state = std::make_shared<ProxyState>(shared_from_this(), object);
    lock.lock();
    auto& place = proxies_[object];
    if (auto known = place.lock()) {
        lock.unlock();
        return known;  // another thread was faster; ours drops its reference
    }
    place = state;
    return state;
}

void ManagerLink::dropped(std::uint64_t object) noexcept {
    try {
        std::unique_lock lock(mutex_);
        const auto found = proxies_.find(object);
        if (found != proxies_.end() && found->second.expired()) proxies_.erase(found);
        if (local_) {
            lock.unlock();
            if (Server* server = Server::local()) server->drop(Server::itself, object);
            return;
        }
        serial::Writer writer;
        manager::encode_request(writer, {RequestKind::drop, 0, object, {}});
        // The server reads the anchor always; a network that is stuck must not hold up a destructor for long.
        (void)anchor_->stream->send(writer.bytes(), {}, Deadline::after(std::chrono::seconds(1)));
    } catch (...) {
        // The server is gone and its objects with it.
    }
}

ProxyState::ProxyState(std::shared_ptr<ManagerLink> to, std::uint64_t number)
    : link_(std::move(to)), object(number), process(os::own_pid()) {}

ProxyState::~ProxyState() {
    if (process == os::own_pid()) link_->dropped(object);
}

const std::shared_ptr<ManagerLink>& ProxyState::link() {
    if (process == os::own_pid()) [[likely]]
        return link_;
    Links& all = links();
    static std::mutex* mutex = nullptr;  // never destroyed; a fork may have copied a locked one
    {
        const std::lock_guard lock(all.mutex);
        static pid_t owner = 0;
        if (owner != os::own_pid()) mutex = new std::mutex;  // NOLINT(cppcoreguidelines-owning-memory)
        owner = os::own_pid();
    }
    const std::lock_guard lock(*mutex);
    if (process == os::own_pid()) return link_;
    auto own = link_->here();
    if (own->is_local())
        local_server().keep(Server::itself, object);
    else
        (void)own->ask({RequestKind::keep, manager::thread_number(), object, {}}, serial::Writer());
    link_ = std::move(own);
    process = os::own_pid();
    return link_;
}

bool leaves_machine(const ManagerLink& link) noexcept { return link.over_network(); }
bool leaves_machine(const ProxyState& proxy) noexcept { return proxy.link_->over_network(); }

void throw_wrong_referent() { throw SerializationError("the managed object is of another type than its proxy"); }

ManagedReply managed_call(const std::shared_ptr<ProxyState>& proxy, const EntryRecord& entry,
                          const serial::Writer& arguments) {
    const auto& link = proxy->link();
    if (!link->is_local()) {
        return link->ask({RequestKind::call, manager::thread_number(), proxy->object, identify(entry)}, arguments);
    }
    serial::Reader in(arguments.bytes(), arguments.handles());
    serial::Writer out;
    local_server().call(Server::From::code, proxy->object,
                        static_cast<const Entry<ManagedEntry::Signature>&>(entry).code, in, out);
    return {{out.bytes().begin(), out.bytes().end()}, {out.handles().begin(), out.handles().end()}};
}

std::shared_ptr<ProxyState> managed_make(const std::shared_ptr<ManagerLink>& link, const EntryRecord& entry,
                                         const serial::Writer& arguments) {
    std::uint64_t object = 0;
    if (link->is_local()) {
        serial::Reader in(arguments.bytes(), arguments.handles());
        object =
            local_server().make(Server::itself, static_cast<const Entry<ManagedEntry::Signature>&>(entry).code, in);
    } else {
        const auto reply = link->ask({RequestKind::make, manager::thread_number(), 0, identify(entry)}, arguments);
        serial::Reader reader(reply.bytes);
        object = serial::decode<std::uint64_t>(reader);
        reader.finish();
    }
    return link->refer(object, true);
}

bool BasicProxy::is_same(const BasicProxy& other) const noexcept {
    return state_->object == other.state_->object && state_->link_->server() == other.state_->link_->server();
}

void BasicProxy::internal_encode(serial::Writer& writer) const {
    const auto& link = state_->link();
    bool granted = false;
    const auto* reply = manager::current_reply();
    if (reply && reply->writer == &writer && link->is_local()) {
        local_server().keep(reply->client, state_->object);
        granted = true;
    }
    serial::encode(writer, granted);
    serial::encode(writer, link->server());
    serial::encode(writer, state_->object);
    serial::encode(writer, link->address());
    // Over a network the key stays at home: the other side has it, or may not come in.
    serial::encode(writer, writer.leaves_machine() || granted ? std::optional<std::string>() : link->key());
}

BasicProxy::BasicProxy(serial::Reader& reader) {
    const bool granted = serial::decode<bool>(reader);
    const auto server = serial::decode<std::uint64_t>(reader);
    const auto object = serial::decode<std::uint64_t>(reader);
    const auto address = serial::decode<std::string>(reader);
    const auto key = serial::decode<std::optional<std::string>>(reader);
    if (server == 0) throw SerializationError("what arrived is no proxy");
    auto link = ManagerLink::find(server);
    if (!link && !key)
        throw Error("a proxy arrived without the key of the manager at \"" + address +
                    "\"; connect to that first, with mp::Manager::connect(address, authkey)");
    if (!link) link = ManagerLink::open(server, address, key);
    state_ = link->refer(object, granted);
}

}  // namespace mp::detail
