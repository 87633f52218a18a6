/// \file
/// Connections: messages between two processes. Pipe makes both ends at once; a Listener and a Client (listener.hpp) find
/// each other by address.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/detail/serial_run.hpp>
#include <multiprocessing/detail/shared_block.hpp>
#include <multiprocessing/detail/wait_limit.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

/// The next message is larger than the buffer given to recv_bytes_into. It is still there to be received.
class MP_EXPORT BufferTooShort : public Error {
  public:
    BufferTooShort(std::size_t size, std::size_t buffer);
    BufferTooShort(const BufferTooShort&) = default;
    BufferTooShort& operator=(const BufferTooShort&) = default;
    ~BufferTooShort() override;
    /// Bytes of the message.
    std::size_t size() const noexcept { return size_; }

  private:
    std::size_t size_;
};

namespace detail {

struct PipeEnd;
class StreamEnd;

/// What a connection can do whatever the types of its messages.
class MP_EXPORT BasicConnection {
  public:
    /// Whether recv would not wait: true when a message is there and also when the other side is gone. Waits at most
    /// `limit`, by default not at all. Never consumes anything.
    template <class Rep, class Period>
    bool poll(std::chrono::duration<Rep, Period> limit) {
        return wait_readable(wait_limit(limit));
    }
    bool poll() { return wait_readable(not_at_all); }

    /// Lets go of this end, in all copies of it in this process. What was sent can still be received. Once every
    /// process that has this end has closed it or is dead, the other side meets the end of the stream. Any use after
    /// this except close() and closed() throws Closed.
    void close();
    bool closed() const noexcept;

    /// A descriptor for poll, epoll and the like: readable while recv would not wait. Only to be waited for, never
    /// read or closed; valid until close(). After a wake-up receive with try_recv: the descriptor may be early.
    int fileno();

    /// \cond internal
    void internal_encode(serial::Writer& writer) const;
    /// \endcond

  protected:
    struct Incoming {
        std::span<const std::byte> bytes;
        std::span<const serial::Handle> handles;
        serial::detail::RunPlace* place = nullptr;  // where a long run may go
        bool placed = false;                        // went there: its bytes are not here
    };
    /// Gives a received message back when its reader has finished or failed.
    class Release {
      public:
        explicit Release(BasicConnection& connection) : connection_(connection) {}
        Release(const Release&) = delete;
        Release& operator=(const Release&) = delete;
        ~Release() { connection_.release_message(); }

      private:
        BasicConnection& connection_;
    };

    explicit BasicConnection(std::shared_ptr<PipeEnd> end) : end_(std::move(end)) {}
    explicit BasicConnection(std::shared_ptr<StreamEnd> stream) : stream_(std::move(stream)) {}
    explicit BasicConnection(serial::Reader& reader);

    static std::pair<std::shared_ptr<PipeEnd>, std::shared_ptr<PipeEnd>> make_ends(std::size_t capacity);

    /// For short messages that are their bytes. As send_message.
    bool send_small(const void* bytes, std::size_t size, WaitLimit limit);
    /// Copies the next message out if it is there, of exactly this size and without handles; false: receive_message has
    /// to see.
    bool receive_small(void* to, std::size_t size, bool patient);

    /// Space of the ring in which a message may be written before send_message; may be empty.
    std::span<std::byte> begin_message();
    /// Sends a run: its 8 bytes and, from where they lie, the others. False when the time ran out: then nothing was sent.
    bool send_run(std::span<const std::byte> count, std::span<const std::byte> elements, WaitLimit limit);
    /// False when the time ran out: then nothing was sent.
    bool send_message(std::span<const std::byte> bytes, std::span<const serial::Handle> handles, WaitLimit limit);
    /// False when the time ran out; throws Closed at the end of the stream. Otherwise Release must follow.
    bool receive_message(Incoming& incoming, WaitLimit limit);
    void release_message() noexcept;
    std::optional<std::size_t> receive_into(std::span<std::byte> buffer, WaitLimit limit);
    std::optional<std::vector<std::byte>> receive_bytes(WaitLimit limit);
    bool wait_readable(WaitLimit limit);
    /// Whether a message goes to another machine, or may.
    bool leaves_machine() const noexcept { return stream_ && over_network(); }

  private:
    PipeEnd& open_end() const;
    StreamEnd& open_stream() const;
    bool over_network() const noexcept;

    // A pipe in shared memory has an end_, a connection over a socket a stream_.
    std::shared_ptr<PipeEnd> end_;
    std::shared_ptr<StreamEnd> stream_;
};

}  // namespace detail

/// One end of a Pipe, or of a connection between a Listener and a Client: sends `Send`, receives `Receive`; void for what this end cannot do. Messages of any size arrive
/// whole, once, in order.
///
/// It can be an argument or part of a message: then another process has this end as well. To hand it over, close it
/// here afterwards. Copies within a process are the same end. One process and thread at a time may send on an end, and
/// one may receive (the same one or another).
///
/// The other side's death is noticed by whoever waits, at once when it closed its end, within 100 ms when it was
/// killed: recv throws Closed when all that had arrived whole is read, send when nobody can receive any more. What is
/// sent before that is noticed is lost, like what the other side had not yet received. Over a network a machine that
/// vanished without a word is noticed within about a minute.
///
/// Over a socket, poll() is true as soon as a message has begun to arrive; recv then waits for its rest, recv_for and
/// try_recv keep what came for the next call. Messages may hold handles where the socket is a Unix one.
template <class Send, class Receive = Send>
class Connection : public detail::BasicConnection {
  public:
    using sent_type = Send;
    using received_type = Receive;

    /// Sends a message; waits while the ring is full. Throws Closed when the other side is gone, SerializationError
    /// when the value cannot be packed - then nothing was sent.
    template <class T = Send>
        requires(!std::is_void_v<Send>)
    void send(const std::type_identity_t<T>& value) {
        send_within(value, detail::forever);
    }
    /// False, with nothing sent, when there was no room in time.
    template <class Rep, class Period, class T = Send>
        requires(!std::is_void_v<Send>)
    [[nodiscard]] bool send_for(const std::type_identity_t<T>& value, std::chrono::duration<Rep, Period> limit) {
        return send_within(value, detail::wait_limit(limit));
    }
    /// False, with nothing sent, when there is no room now.
    template <class T = Send>
        requires(!std::is_void_v<Send>)
    [[nodiscard]] bool try_send(const std::type_identity_t<T>& value) {
        return send_within(value, detail::not_at_all);
    }

    /// The next message. Throws Closed when the other side is gone and everything is read, SerializationError when
    /// the message is no `Receive` (it is consumed all the same).
    template <class T = Receive>
        requires(!std::is_void_v<Receive>)
    T recv() {
        if constexpr (small<T>) {
            std::byte bytes[sizeof(T)];
            if (receive_small(bytes, sizeof bytes, true)) [[likely]] return unpack_bytes<T>(bytes);
        }
        return std::move(*receive_one<T>(detail::forever));
    }
    /// The next message, or nothing when none came in time.
    template <class Rep, class Period, class T = Receive>
        requires(!std::is_void_v<Receive>)
    std::optional<T> recv_for(std::chrono::duration<Rep, Period> limit) {
        return recv_within<T>(detail::wait_limit(limit));
    }
    /// The next message, or nothing when none is there.
    template <class T = Receive>
        requires(!std::is_void_v<Receive>)
    std::optional<T> try_recv() {
        return recv_within<T>(detail::not_at_all);
    }

    /// Sends bytes as they are, as one message; may be empty.
    void send_bytes(std::span<const std::byte> bytes)
        requires(!std::is_void_v<Send>)
    {
        (void)send_message(bytes, {}, detail::forever);
    }
    /// The next message as bytes.
    std::vector<std::byte> recv_bytes()
        requires(!std::is_void_v<Receive>)
    {
        return *receive_bytes(detail::forever);
    }
    /// Receives into `buffer` and returns how many bytes the message had. Throws BufferTooShort, leaving the message
    /// where it is, when it is larger.
    std::size_t recv_bytes_into(std::span<std::byte> buffer)
        requires(!std::is_void_v<Receive>)
    {
        return *receive_into(buffer, detail::forever);
    }

    /// \cond internal
    explicit Connection(serial::Reader& reader) : BasicConnection(reader) {}
    explicit Connection(std::shared_ptr<detail::PipeEnd> end) : BasicConnection(std::move(end)) {}
    explicit Connection(std::shared_ptr<detail::StreamEnd> stream) : BasicConnection(std::move(stream)) {}
    static auto internal_make_ends(std::size_t capacity) { return make_ends(capacity); }
    /// \endcond

  private:
    /// Packed as its bytes, and few of them.
    template <class T>
    static constexpr bool small = serial::bytewise<T> && sizeof(T) <= 1024;

    bool send_within(const auto& value, detail::WaitLimit limit) {
        if constexpr (small<std::remove_cvref_t<decltype(value)>>) return send_small(&value, sizeof value, limit);
        if constexpr (serial::detail::run<std::remove_cvref_t<decltype(value)>>) {
            const serial::detail::RunParts parts(value);
            if (parts.is_long()) return send_run(parts.count(), parts.elements(), limit);
        }
        serial::Writer writer(begin_message());
        writer.set_leaves_machine(leaves_machine());
        serial::encode(writer, value);
        return send_message(writer.bytes(), writer.handles(), limit);
    }
    template <class T>
    std::optional<T> recv_within(detail::WaitLimit limit) {
        if constexpr (small<T>) {
            std::byte bytes[sizeof(T)];
            if (receive_small(bytes, sizeof bytes, limit != detail::not_at_all)) return unpack_bytes<T>(bytes);
        }
        return receive_one<T>(limit);
    }
    template <class T>
    std::optional<T> receive_one(detail::WaitLimit limit) {
        Incoming incoming;
        if constexpr (serial::detail::run<T>) {
            serial::detail::RunInto<T> place;
            incoming.place = &place;
            if (!receive_message(incoming, limit)) return std::nullopt;
            if (!incoming.placed) return unpack<T>(incoming);
            const Release release(*this);
            return place.take();
        } else {
            if (!receive_message(incoming, limit)) return std::nullopt;
            return unpack<T>(incoming);
        }
    }
    template <class T>
    static T unpack_bytes(std::span<const std::byte> bytes) {
        serial::Reader reader(bytes);
        return serial::decode<T>(reader);
    }
    template <class T>
    T unpack(const Incoming& incoming) {
        const Release release(*this);
        serial::Reader reader(incoming.bytes, incoming.handles);
        T value = serial::decode<T>(reader);
        reader.finish();
        return value;
    }
};

/// How Pipe makes a pipe.
struct PipeOptions {
    std::size_t capacity = 1 << 20;  ///< bytes under way in each direction; rounded up to a power of two, at least 64 KiB
};

/// Two connected ends: the first sends `Send` and receives `Receive`, the second the reverse.
/// `auto [main_end, worker_end] = mp::Pipe<Task, Reply>();` With one type, both ways carry it; `Pipe<void, T>()` is
/// one-way, its first end receives. Throws SystemError when there is no memory or descriptor left.
template <class Send, class Receive = Send>
std::pair<Connection<Send, Receive>, Connection<Receive, Send>> Pipe(const PipeOptions& options = {}) {
    if constexpr (!std::is_void_v<Send>) serial::check_serializable<Send>();
    if constexpr (!std::is_void_v<Receive>) serial::check_serializable<Receive>();
    auto [first, second] = Connection<Send, Receive>::internal_make_ends(options.capacity);
    return {Connection<Send, Receive>(std::move(first)), Connection<Receive, Send>(std::move(second))};
}

/// \cond internal
template <class Send, class Receive>
struct serial::codec<Connection<Send, Receive>> {
    static void encode(Writer& writer, const Connection<Send, Receive>& connection) {
        connection.internal_encode(writer);
    }
    static Connection<Send, Receive> decode(Reader& reader) { return Connection<Send, Receive>(reader); }
};
/// \endcond

}  // namespace mp
