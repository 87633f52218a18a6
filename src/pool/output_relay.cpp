#include "pool/output_relay.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include <multiprocessing/errors.hpp>

#include "os/library_thread.hpp"
#include "os/line_sink.hpp"
#include "os/retry.hpp"
#include "os/threads.hpp"
#include "pool/shared.hpp"
#include "trace/screen.hpp"

namespace mp::pool {

namespace {

// Of the last lines of a worker's standard error that are kept for whoever asks why it died.
constexpr std::size_t tail_lines = 20;
constexpr std::size_t tail_width = 1000;
// A line that is longer is cut. Nothing a person reads, and memory has to end somewhere.
constexpr std::size_t longest_line = 1 << 20;
// What one pipe holds: whatever was in it when a look began has been read after so many bytes.
constexpr std::size_t one_pipe = 64 * 1024;
constexpr std::uint64_t stop_event = 0;

constexpr std::string_view mark_begin("\0\x1emp ", 5);
constexpr char mark_end = '\x1e';

std::uint64_t channel_id(std::uint64_t worker, int stream) { return worker * 2 + (stream == STDERR_FILENO ? 1 : 0); }

}  // namespace

std::string frame_mark(std::uint64_t number, std::uint64_t element) {
    std::string text(mark_begin);
    text += std::to_string(number) + ' ';
    if (element != none) text += std::to_string(element);
    return text + mark_end;
}

OutputRelay::OutputRelay(std::string name, Output mode, OutputLimit limit)
    : name_(std::move(name)), mode_(mode), limit_(limit) {
    const auto fail = [&](const char* what) {
        throw SystemError(base::last_error(),
                          std::string("cannot relay the output of pool \"") + name_ + "\": " + what);
    };
    ready_ = os::clear_of_streams(os::UniqueFd(::epoll_create1(EPOLL_CLOEXEC)));
    if (!ready_) fail("epoll");
    stop_ = os::clear_of_streams(os::UniqueFd(::eventfd(0, EFD_CLOEXEC)));
    if (!stop_) fail("eventfd");
    epoll_event event{.events = EPOLLIN, .data = {.u64 = stop_event}};
    if (::epoll_ctl(ready_.get(), EPOLL_CTL_ADD, stop_.get(), &event) != 0) fail("epoll");
    thread_ = os::start_library_thread("cannot relay the output of pool \"" + name_ + "\": a thread", [this] { run(); });
}

OutputRelay::~OutputRelay() { finish(); }

void OutputRelay::finish() {
    const std::lock_guard finishing(finishing_);
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(stop_.get(), &one, sizeof one));
    thread_.join();
    {
        const std::lock_guard guard(mutex_);
        for (auto& [id, channel] : channels_) {
            static_cast<void>(read(*channel));
            end_line(*channel);
        }
        channels_.clear();
    }
    write_out();
}

void OutputRelay::abandon() {
    if (thread_.joinable()) thread_.detach();
}

void OutputRelay::run() {
    const os::IgnoredThread ignored;
    ::pthread_setname_np(::pthread_self(), "mp-output");
    while (read_ready(-1)) write_out();
}

base::Expected<os::UniqueFd> OutputRelay::open_stream(std::uint64_t worker, const std::string& name, int stream) {
    if (::fcntl(stream, F_GETFD) < 0) return os::UniqueFd();  // the worker gets /dev/null
    if (mode_ == Output::discard && stream == STDOUT_FILENO) return os::UniqueFd();
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return base::last_error();
    os::UniqueFd writing = os::clear_of_streams(os::UniqueFd(ends[1]));
    auto channel = std::make_unique<Channel>(Channel{.worker = worker,
                                                     .name = name,
                                                     .stream = stream,
                                                     .fd = os::clear_of_streams(os::UniqueFd(ends[0])),
                                                     .partial = {},
                                                     .tail = {},
                                                     .gate = FloodGate(limit_),
                                                     .frames = {},
                                                     .tag = {}});
    if (!writing || !channel->fd) return base::error_of(EMFILE);
    ::fcntl(channel->fd.get(), F_SETFL, O_NONBLOCK);
    const std::uint64_t id = channel_id(worker, stream);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
    const int fd = channel->fd.get();
    {
        const std::lock_guard guard(mutex_);
        channels_.emplace(id, std::move(channel));
    }
    if (::epoll_ctl(ready_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        const auto error = base::last_error();
        const std::lock_guard guard(mutex_);
        channels_.erase(id);
        return error;
    }
    return writing;
}

base::Expected<OutputRelay::Ends> OutputRelay::open(std::string worker_name) {
    Ends ends;
    {
        const std::lock_guard guard(mutex_);
        ends.worker = next_worker_++;
    }
    auto output = open_stream(ends.worker, worker_name, STDOUT_FILENO);
    if (!output) return output.error();
    auto error = open_stream(ends.worker, worker_name, STDERR_FILENO);
    if (!error) {
        const std::lock_guard guard(mutex_);
        channels_.erase(channel_id(ends.worker, STDOUT_FILENO));
        return error.error();
    }
    ends.output = std::move(*output);
    ends.error = std::move(*error);
    return ends;
}

void OutputRelay::name_frame(std::uint64_t worker, std::uint64_t number, std::string text) {
    const std::lock_guard guard(mutex_);
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
        if (const auto found = channels_.find(channel_id(worker, stream)); found != channels_.end())
            found->second->frames[number] = text;
}

void OutputRelay::settle_now() {
    const auto expected = expected_.load(std::memory_order_acquire);
    {
        // Each of them: epoll shows an event that the relay's thread is just being given to nobody else.
        const std::lock_guard guard(mutex_);
        for (auto& [id, channel] : channels_) static_cast<void>(read(*channel));
    }
    write_out();
    // Others may have settled more meanwhile.
    auto settled = settled_.load(std::memory_order_relaxed);
    while (settled < expected && !settled_.compare_exchange_weak(settled, expected, std::memory_order_release)) {
    }
}

// False when it is told to stop. A call that does not wait reads everything that was there when it began.
bool OutputRelay::read_ready(int timeout) {
    std::array<epoll_event, 64> events;
    bool go_on = true;
    int count = 0;
    do {
        count = os::retry([&] { return ::epoll_wait(ready_.get(), events.data(), events.size(), timeout); });
        const std::lock_guard guard(mutex_);
        for (int i = 0; i < count; ++i) {
            const auto id = events[static_cast<std::size_t>(i)].data.u64;
            if (id == stop_event) {
                go_on = false;
                continue;
            }
            // Taken away since, or read by another thread: then there is nothing to do.
            const auto found = channels_.find(id);
            if (found == channels_.end() || read(*found->second)) continue;
            end_line(*found->second);
            if (found->second->buried)
                channels_.erase(found);
            else
                ::epoll_ctl(ready_.get(), EPOLL_CTL_DEL, found->second->fd.get(), nullptr);  // its tail is still wanted
        }
    } while (go_on && timeout == 0 && count == static_cast<int>(events.size()));
    return go_on;
}

// False at the end of the stream.
bool OutputRelay::read(Channel& channel) {
    std::array<char, 16 * 1024> bytes;
    for (std::size_t done = 0; done < 2 * one_pipe;) {
        const auto size = os::retry([&] { return ::read(channel.fd.get(), bytes.data(), bytes.size()); });
        if (size == 0) return false;
        if (size < 0) return errno == EAGAIN;
        take(channel, {bytes.data(), static_cast<std::size_t>(size)});
        done += static_cast<std::size_t>(size);
    }
    return true;
}

void OutputRelay::take(Channel& channel, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto end = bytes.find('\n');
        const bool whole = end != bytes.npos;
        if (channel.partial.empty() && whole) {
            take_line(channel, bytes.substr(0, end));
        } else {
            channel.partial.append(bytes.substr(0, whole ? end : bytes.size()));
            if (whole || channel.partial.size() >= longest_line) {
                const std::string line = std::exchange(channel.partial, {});
                take_line(channel, line);
            }
        }
        bytes.remove_prefix(whole ? end + 1 : bytes.size());
    }
}

// Without its newline. May have the marks of frames in it, which change whose the rest is.
void OutputRelay::take_line(Channel& channel, std::string_view line) {
    while (mode_ == Output::tagged) {
        const auto mark = line.find(mark_begin);
        const auto end = mark == line.npos ? mark : line.find(mark_end, mark + mark_begin.size());
        if (end == line.npos) break;
        if (mark > 0) queue(channel, line.substr(0, mark));
        const std::string text(line.substr(mark + mark_begin.size(), end - mark - mark_begin.size()));
        char* rest = nullptr;
        const auto number = std::strtoull(text.c_str(), &rest, 10);
        channel.frames.erase(channel.frames.begin(), channel.frames.lower_bound(number));
        const auto found = channel.frames.find(number);
        channel.tag = found == channel.frames.end() ? std::string() : ' ' + found->second;
        if (*rest == ' ' && rest[1]) channel.tag += std::string(" #") + (rest + 1);
        line.remove_prefix(end + 1);
        if (line.empty()) return;
    }
    queue(channel, line);
}

// What its last line, without a newline, holds so far.
void OutputRelay::end_line(Channel& channel) {
    if (!channel.partial.empty()) take_line(channel, std::exchange(channel.partial, {}));
    if (const auto report = channel.gate.report()) put(channel, *report, true);
}

void OutputRelay::queue(Channel& channel, std::string_view line) {
    if (channel.stream == STDERR_FILENO) {
        channel.tail.emplace_back(line.substr(0, tail_width));
        if (channel.tail.size() > tail_lines) channel.tail.pop_front();
    }
    if (mode_ == Output::discard || !channel.gate.pass(line, FloodGate::Clock::now())) return;
    if (const auto report = channel.gate.report()) put(channel, *report, true);
    put(channel, line, false);
}

void OutputRelay::put(const Channel& channel, std::string_view line, bool own) {
    if (pieces_.empty() || pieces_.back().stream != channel.stream) pieces_.push_back({channel.stream, {}});
    std::string& text = pieces_.back().text;
    if (own || mode_ == Output::tagged) text += '[' + channel.name + channel.tag + "] ";
    text += line;
    text += '\n';
}

void OutputRelay::write_out() {
    const std::lock_guard writing(writing_);
    std::vector<Piece> pieces;
    {
        const std::lock_guard guard(mutex_);
        pieces.swap(pieces_);
    }
    if (pieces.empty()) return;
    os::flush_own_output();
    // Between whatever else the program shows on its terminal.
    trace::Screen::standard_error().print([&] {
        for (const Piece& piece : pieces) os::write_lines(piece.stream, piece.text);
    });
}

std::vector<std::string> OutputRelay::bury(std::uint64_t worker) {
    std::vector<std::string> tail;
    const std::lock_guard guard(mutex_);
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
        const auto found = channels_.find(channel_id(worker, stream));
        if (found == channels_.end()) continue;
        Channel& channel = *found->second;
        const bool open = read(channel);
        end_line(channel);
        if (stream == STDERR_FILENO) tail.assign(channel.tail.begin(), channel.tail.end());
        channel.buried = true;
        if (!open) channels_.erase(found);
    }
    expect();  // for whoever waits for the task: its last lines are to be seen before its error
    return tail;
}

}  // namespace mp::pool
