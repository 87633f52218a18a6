// This process's way to a manager's server, and what proxies refer to.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <multiprocessing/detail/managed_call.hpp>

#include "channel/stream_end.hpp"
#include "manager/wire.hpp"
#include "os/fork_private.hpp"

namespace mp::detail {

/// Connections to one server: the anchor, whose end tells the server that this process is dead, and one for each call
/// that is under way. All proxies of that server in this process share it; it ends with the last of them. In the server
/// itself calls are made directly. Any thread.
class ManagerLink : public std::enable_shared_from_this<ManagerLink> {
  public:
    /// The link to that server, made when there is none. `server` 0: whichever is at the address. Throws
    /// AuthenticationError, Closed when another server or none is there.
    static std::shared_ptr<ManagerLink> open(std::uint64_t server, const std::string& address,
                                             const std::optional<std::string>& key);
    /// The link that this process has to that server already; null when it has none.
    static std::shared_ptr<ManagerLink> find(std::uint64_t server);

    ManagerLink(std::string address, std::optional<std::string> key);
    ~ManagerLink();

    /// The link of the calling process: this one, or in a fork of the process that made it one of its own.
    std::shared_ptr<ManagerLink> here();

    std::uint64_t server() const { return server_; }
    const std::string& address() const { return address_; }
    const std::optional<std::string>& key() const { return key_; }
    bool is_local() const { return local_; }
    bool over_network() const { return over_network_; }

    /// The owner of the server knows how it ended.
    void tell_end(std::function<std::string()> how);

    ManagedReply ask(const manager::Request& request, const serial::Writer& arguments);

    /// The proxy state of an object: the one that is there, or a new one. `granted`: it comes with a reference.
    std::shared_ptr<ProxyState> refer(std::uint64_t object, bool granted);
    void dropped(std::uint64_t object) noexcept;

  private:
    struct Line;

    void connect_anchor(std::uint64_t expected);
    std::unique_ptr<Line> take_line();
    [[noreturn]] void throw_ended();

    const std::string address_;
    const std::optional<std::string> key_;
    const pid_t process_;
    const std::uint64_t client_;
    std::uint64_t server_ = 0;
    pid_t server_pid_ = 0;
    bool local_ = false, over_network_ = false;

    std::mutex mutex_;  // guards what follows
    std::unique_ptr<Line> anchor_;
    std::vector<std::unique_ptr<Line>> idle_;
    std::unordered_map<std::uint64_t, std::weak_ptr<ProxyState>> proxies_;
    std::function<std::string()> how_it_ended_;
};

/// One reference of this process to an object. Proxies share it.
struct ProxyState {
    ProxyState(std::shared_ptr<ManagerLink> to, std::uint64_t number);
    ProxyState(const ProxyState&) = delete;
    ProxyState& operator=(const ProxyState&) = delete;
    ~ProxyState();

    /// In a child that a fork made of this process: a link and a reference of its own.
    const std::shared_ptr<ManagerLink>& link();

    std::shared_ptr<ManagerLink> link_;
    const std::uint64_t object;
    pid_t process;
};

}  // namespace mp::detail
