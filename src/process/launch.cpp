#include "process/launch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include <multiprocessing/errors.hpp>

#include "os/lifeline.hpp"
#include "os/log.hpp"
#include "os/pidfd.hpp"
#include "os/retry.hpp"
#include "process/wire.hpp"

namespace mp::process {

namespace {

class Launch {
  public:
    explicit Launch(const LaunchSpec& spec) : spec_(spec) {}

    std::shared_ptr<Child> run() {
        auto server = spec_.snapshot;
        if (!server) server = spec_.method == StartMethod::fork ? Forkserver::snapshot() : Forkserver::shared();

        int status[2];
        check(::pipe2(status, O_CLOEXEC) == 0, "pipe");
        Child::Parts parts;
        os::UniqueFd status_end(status[1]);
        parts.status = os::clear_of_streams(os::UniqueFd(status[0]));
        status_end = os::clear_of_streams(std::move(status_end));
        check(parts.status && status_end, "pipe");
        auto lifeline = value(os::make_lifeline(), "pipe");
        auto report = make_report(parts);
        const auto directory = os::clear_of_streams(os::UniqueFd(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)));
        check(bool(directory), "open working directory");

        std::vector<int> fds{status_end.get(), lifeline.bound.get(), report.get(), directory.get()};
        wire::Spawn request;
        auto pass_stream = [&](int fd, std::uint32_t flag) {
            if (::fcntl(fd, F_GETFD) < 0) return;
            fds.push_back(fd);
            request.flags |= flag;
        };
        pass_stream(spec_.output.value_or(STDOUT_FILENO), wire::Spawn::has_output);
        pass_stream(spec_.error.value_or(STDERR_FILENO), wire::Spawn::has_error);
        if (spec_.method == StartMethod::spawn) request.flags |= wire::Spawn::execute;
        if (spec_.method == StartMethod::fork && !spec_.snapshot) request.flags |= wire::Spawn::only;

        serial::Writer boot;
        encode_boot(boot, describe());
        request.boot_size = boot.bytes().size();
        request.handle_count = spec_.handles.size();
        os::UniqueFd file;
        std::vector<std::byte> packet(sizeof request);
        if (boot.bytes().size() > wire::max_inline_boot) {
            file = write_file(boot.bytes());
            fds.push_back(file.get());
            request.flags |= wire::Spawn::boot_in_file;
        } else {
            packet.insert(packet.end(), boot.bytes().begin(), boot.bytes().end());
        }
        std::memcpy(packet.data(), &request, sizeof request);
        for (const auto& handle : spec_.handles) fds.push_back(handle.fd());

        auto reply = server->spawn(packet, fds);
        if (!reply && server_is_gone(reply.error()) && !spec_.snapshot && spec_.method != StartMethod::fork) {
            // Somebody killed it between two starts, and the next one is as good - or in the midst of this one, when it
            // may have forked already. Two must not run.
            if (const pid_t begun = prevent(parts)) {
                reply = adopt(begun, std::move(lifeline.bound), lifeline.owner.get());
            } else {
                report = make_report(parts);
                fds[report_at] = report.get();
                server = Forkserver::shared();
                reply = server->spawn(packet, fds);
            }
        }
        auto spawned = value(std::move(reply), "fork");
        parts.pid = spawned.pid;
        parts.pidfd = std::move(spawned.pidfd);
        parts.lifeline = std::move(lifeline.owner);
        parts.server = std::move(server);
        if (os::logs(LogLevel::info))
            os::LogLine(LogLevel::info, "process.started").add("name", spec_.name).add("child", parts.pid).add("method", to_string(spec_.method));
        return std::make_shared<Child>(std::move(parts));
    }

  private:
    static constexpr std::size_t report_at = 2;  // among the descriptors of a wire::Spawn

    os::UniqueFd make_report(Child::Parts& parts) const {
        auto file = value(os::memory_file("multiprocessing report", sizeof(ReportPage)), "memory for its report");
        parts.report = value(os::Mapping::shared(file.get(), sizeof(ReportPage)), "mapping its report");
        return file;
    }

    // A process that was forked for this report and has not begun never will. The pid of one that has; 0: none has.
    static pid_t prevent(const Child::Parts& parts) {
        auto& begun = reinterpret_cast<ReportPage*>(parts.report.data())->begun;
        std::uint64_t pid = ReportPage::not_begun;
        if (begun.compare_exchange_strong(pid, ReportPage::must_not_begin, std::memory_order_acq_rel)) return 0;
        return static_cast<pid_t>(pid);
    }

    // Takes over a process whose server died before it told of it. As with any whose server has died, how it ends will
    // not be known.
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

    Boot describe() const {
        Boot boot;
        boot.name = spec_.name;
        boot.entry = spec_.entry;
        boot.arguments.assign(spec_.arguments.begin(), spec_.arguments.end());
        if (const Self* me = self()) boot.parent_name = me->name;
        else boot.parent_name = "MainProcess";
        boot.parent_pid = ::getpid();
        boot.daemon = spec_.daemon;
        boot.method = spec_.method;
        boot.default_method = get_start_method();
        boot.umask = current_umask();
        boot.log_level = log_level();
        for (char** entry = environ; entry && *entry; ++entry) boot.environment.emplace_back(*entry);
        return boot;
    }

    // Read from /proc, because umask() itself can only be read by changing it under the feet of other threads.
    static std::uint32_t current_umask();

    os::UniqueFd write_file(std::span<const std::byte> bytes) const {
        auto file = value(os::memory_file("multiprocessing boot", 0), "memory for its arguments");
        for (std::size_t done = 0; done < bytes.size();) {
            const ssize_t count = os::retry(
                [&] { return ::pwrite(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done)); });
            check(count > 0, "memory for its arguments");
            done += static_cast<std::size_t>(count);
        }
        return file;
    }

    const LaunchSpec& spec_;
};

std::uint32_t Launch::current_umask() {
    const os::UniqueFd file(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    char text[512];
    const ssize_t size = file ? os::retry([&] { return ::read(file.get(), text, sizeof text - 1); }) : -1;
    if (size > 0) {
        text[size] = 0;
        if (const char* line = std::strstr(text, "Umask:")) return static_cast<std::uint32_t>(std::strtoul(line + 6, nullptr, 8));
    }
    return 022;
}

}  // namespace

std::shared_ptr<Child> launch(const LaunchSpec& spec) { return Launch(spec).run(); }

}  // namespace mp::process
