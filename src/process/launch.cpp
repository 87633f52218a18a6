#include "process/launch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>

#include <multiprocessing/errors.hpp>

#include "os/futex.hpp"
#include "os/log.hpp"
#include "os/pidfd.hpp"
#include "os/retry.hpp"
#include "process/ties.hpp"
#include "process/wire.hpp"

namespace mp::process {

namespace {

class Launch {
  public:
    explicit Launch(const LaunchSpec& spec) : spec_(spec) {}

    std::shared_ptr<Child> run() {
        auto server = spec_.snapshot;
        if (!server) server = spec_.method == StartMethod::fork ? Forkserver::snapshot() : Forkserver::shared();
        describe();
        Child::Parts parts = start(server);
        parts.server = std::move(server);
        if (os::logs(LogLevel::info))
            os::LogLine(LogLevel::info, "process.started")
                .add("name", spec_.name)
                .add("child", parts.pid)
                .add("method", to_string(spec_.method));
        return std::make_shared<Child>(std::move(parts));
    }

  private:
    // Puts packet_ and descriptors_ together.
    void describe() {
        directory_ = os::clear_of_streams(os::UniqueFd(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)));
        check(bool(directory_), "open working directory");
        descriptors_.push_back(directory_.get());
        auto pass_stream = [&](int fd, std::uint32_t flag) {
            if (::fcntl(fd, F_GETFD) < 0) return;
            descriptors_.push_back(fd);
            request_.flags |= flag;
        };
        pass_stream(spec_.output.value_or(STDOUT_FILENO), wire::Spawn::has_output);
        pass_stream(spec_.error.value_or(STDERR_FILENO), wire::Spawn::has_error);
        if (spec_.method == StartMethod::spawn) request_.flags |= wire::Spawn::execute;
        if (spec_.method == StartMethod::fork && !spec_.snapshot) request_.flags |= wire::Spawn::only;

        serial::Writer boot;
        encode_boot(boot, boot_of_it());
        request_.boot_size = boot.bytes().size();
        request_.handle_count = spec_.handles.size();
        packet_.resize(sizeof request_);
        if (boot.bytes().size() > wire::max_inline_boot) {
            boot_file_ = write_file(boot.bytes());
            descriptors_.push_back(boot_file_.get());
            request_.flags |= wire::Spawn::boot_in_file;
        } else {
            packet_.insert(packet_.end(), boot.bytes().begin(), boot.bytes().end());
        }
    }

    std::span<const std::byte> packet(std::uint32_t more_flags = 0, std::uint64_t spare = 0) {
        wire::Spawn request = request_;
        request.flags |= more_flags;
        request.spare = spare;
        std::memcpy(packet_.data(), &request, sizeof request);
        return packet_;
    }

    Child::Parts start(std::shared_ptr<Forkserver>& server) {
        if (spec_.method != StartMethod::forkserver || spec_.handles.size() > wire::max_handles) return *fork(server);
        // There may be a spare; or one is made just when the server is asked; or it ends before it begins.
        if (auto parts = from_spare(*server)) return *std::move(parts);
        if (auto parts = fork(server, wire::Spawn::or_spare)) return *std::move(parts);
        if (auto parts = from_spare(*server)) return *std::move(parts);
        return *fork(server);
    }

    static constexpr std::chrono::milliseconds patience_with_spares{10};

    // The spare as the new process. Nothing when there is none, or none any more.
    std::optional<Child::Parts> from_spare(Forkserver& server) {
        auto offer = server.take_spare();
        if (!offer) return std::nullopt;
        Child::Parts parts;
        parts.report = map(offer->report);
        if (!server.give(*offer, packet(0, offer->number), descriptors_, spec_.handles)) return std::nullopt;
        const auto& begun = page(parts).begun;
        while (begun.load(std::memory_order_acquire) == ReportPage::not_begun) {
            if (os::futex_wait(begun, ReportPage::not_begun, base::Deadline::after(patience_with_spares))) continue;
            if (offer->has_ended()) break;
            // Somebody may have stopped it, before it was a process.
            if (offer->pidfd)
                static_cast<void>(os::signal_pidfd(offer->pidfd.get(), SIGCONT));
            else
                static_cast<void>(server.signal(offer->pid, SIGCONT));
        }
        if (!prevent(parts)) return std::nullopt;
        parts.pid = offer->pid;
        parts.pidfd = std::move(offer->pidfd);
        parts.status = std::move(offer->status);
        parts.lifeline = std::move(offer->lifeline);
        return parts;
    }

    // A fork or, by method spawn, a copy that the server executes. Nothing, if the flags allow for it, when there is a
    // spare.
    std::optional<Child::Parts> fork(std::shared_ptr<Forkserver>& server, std::uint32_t more_flags = 0) {
        const char* missing = nullptr;
        auto made = make_ties(missing);
        if (!made) fail(made.error(), missing);
        Ties ties = *std::move(made);
        Child::Parts parts;
        parts.report = map(ties.report);
        const auto own = [&] {
            std::vector<int> all{ties.status_end.get(), ties.lifeline.bound.get(), ties.report.get()};
            all.insert(all.end(), descriptors_.begin(), descriptors_.end());
            return all;
        };
        auto reply = server->spawn(packet(more_flags), own(), spec_.handles);
        if (!reply && server_is_gone(reply.error()) && !spec_.snapshot && spec_.method != StartMethod::fork) {
            // Somebody killed it between two starts, and the next one is as good - or in the midst of this one, when it
            // may have forked already. Two must not run.
            if (const pid_t begun = prevent(parts)) {
                reply = adopt(begun, std::move(ties.lifeline.bound), ties.lifeline.owner.get());
            } else {
                ties.report =
                    value(os::memory_file("multiprocessing report", sizeof(ReportPage)), "memory for its report");
                parts.report = map(ties.report);
                server = Forkserver::shared();
                reply = server->spawn(packet(), own(), spec_.handles);
            }
        }
        auto spawned = value(std::move(reply), "fork");
        if (spawned.pid == 0) return std::nullopt;
        parts.pid = spawned.pid;
        parts.pidfd = std::move(spawned.pidfd);
        parts.status = std::move(ties.status);
        parts.lifeline = std::move(ties.lifeline.owner);
        return parts;
    }

    os::Mapping map(const os::UniqueFd& report) const {
        return value(os::Mapping::shared(report.get(), sizeof(ReportPage)), "mapping its report");
    }

    static ReportPage& page(const Child::Parts& parts) { return *reinterpret_cast<ReportPage*>(parts.report.data()); }

    // A process that was forked for this report and has not begun never will. The pid of one that has; 0: none has.
    static pid_t prevent(const Child::Parts& parts) {
        std::uint32_t pid = ReportPage::not_begun;
        if (page(parts).begun.compare_exchange_strong(pid, ReportPage::must_not_begin, std::memory_order_acq_rel))
            return 0;
        return static_cast<pid_t>(pid);
    }

    // Takes over a process whose server died before it told of it: as any whose server has died.
    static SpawnReply adopt(pid_t pid, os::UniqueFd bound, int owner) {
        bound.reset();
        SpawnReply reply{.pid = pid, .pidfd = {}};
        auto pidfd = os::open_pidfd(pid);
        // While it holds its end of the lifeline the number is still its own.
        pollfd entry{owner, 0, 0};
        ::poll(&entry, 1, 0);
        if (pidfd && !(entry.revents & POLLERR)) reply.pidfd = std::move(*pidfd);
        return reply;
    }

    static bool server_is_gone(std::error_code error) {
        return error == std::errc::broken_pipe || error == std::errc::connection_reset ||
               error == std::errc::bad_file_descriptor;
    }

    [[noreturn]] void fail(std::error_code error, const char* step) const {
        throw SystemError(error, "cannot start process \"" + spec_.name + "\": " + step);
    }
    void check(bool good, const char* step) const {
        if (!good) fail(base::last_error(), step);
    }
    template <class T>
    T value(base::Expected<T> result, const char* step) const {
        if (!result) fail(result.error(), step);
        return std::move(*result);
    }

    Boot boot_of_it() const {
        Boot boot;
        boot.name = spec_.name;
        boot.entry = spec_.entry;
        boot.arguments.assign(spec_.arguments.begin(), spec_.arguments.end());
        if (const Self* me = self())
            boot.parent_name = me->name;
        else
            boot.parent_name = "MainProcess";
        boot.parent_pid = ::getpid();
        boot.daemon = spec_.daemon;
        boot.method = spec_.method;
        boot.default_method = get_start_method();
        boot.umask = current_umask();
        boot.log_level = log_level();
        boot.environment = own_environment();
        return boot;
    }

    // Read from /proc, because umask() itself can only be read by changing it under the feet of other threads.
    static std::uint32_t current_umask();

    os::UniqueFd write_file(std::span<const std::byte> bytes) const {
        auto file = value(os::memory_file("multiprocessing boot", 0), "memory for its arguments");
        for (std::size_t done = 0; done < bytes.size();) {
            const ssize_t count = os::retry([&] {
                return ::pwrite(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
            });
            check(count > 0, "memory for its arguments");
            done += static_cast<std::size_t>(count);
        }
        return file;
    }

    const LaunchSpec& spec_;
    wire::Spawn request_;
    std::vector<std::byte> packet_;  // the request and, unless it is in a file, the encoded Boot
    std::vector<int> descriptors_;   // but for the ties and the handles
    os::UniqueFd directory_, boot_file_;
};

std::uint32_t Launch::current_umask() {
    const os::UniqueFd file(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    char text[512];
    const ssize_t size = file ? os::retry([&] { return ::read(file.get(), text, sizeof text - 1); }) : -1;
    if (size > 0) {
        text[size] = 0;
        if (const char* line = std::strstr(text, "Umask:"))
            return static_cast<std::uint32_t>(std::strtoul(line + 6, nullptr, 8));
    }
    return 022;
}

}  // namespace

std::shared_ptr<Child> launch(const LaunchSpec& spec) { return Launch(spec).run(); }

}  // namespace mp::process
