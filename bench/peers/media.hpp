// Ways to carry messages of one size between processes, all with one face: what the channel benchmark compares.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include <multiprocessing/connection.hpp>
#include <multiprocessing/queues.hpp>

#include "peers/shared.hpp"

namespace bench {

using Bytes = std::span<std::byte>;

/// Sends or receives messages, one after the other, each from or to the same memory of the right size. Made of what does so with
/// one, in a loop that costs nothing beside it.
class End {
  public:
    template <class One>
    End(One one) : many_([one = std::move(one)](Bytes bytes, int times) mutable {
        for (; times > 0; --times) one(bytes);
    }) {}
    void operator()(Bytes bytes, int times = 1) const { many_(bytes, times); }

  private:
    std::function<void(Bytes, int)> many_;
};

/// Made before the processes are; each of them then takes its end.
class Medium {
  public:
    Medium() = default;
    Medium(const Medium&) = delete;
    Medium& operator=(const Medium&) = delete;
    virtual ~Medium() = default;
    /// In the process that sends, or receives, as number `which` of its kind.
    virtual End sender(int which) = 0;
    virtual End receiver(int which) = 0;
    /// How many messages may in the end be held in part by so many receivers, who wait for the rest.
    virtual int held_in_part(int) const { return 0; }
};

/// How many messages of a size may be under way: some MiB of them.
inline std::size_t messages_under_way(std::size_t size) {
    return std::clamp<std::size_t>((std::size_t(4) << 20) / size, 2, 4096);
}

template <std::size_t N>
class PipeMedium : public Medium {
    using Message = std::array<std::byte, N>;

  public:
    End sender(int) override {
        return [this](Bytes bytes) { ends_.second.send(*reinterpret_cast<const Message*>(bytes.data())); };
    }
    End receiver(int) override {
        return [this](Bytes bytes) { *reinterpret_cast<Message*>(bytes.data()) = ends_.first.recv(); };
    }

  private:
    std::pair<mp::Connection<void, Message>, mp::Connection<Message, void>> ends_ = mp::Pipe<void, Message>();
};

/// For sizes that are no type.
template <>
class PipeMedium<0> : public Medium {
  public:
    End sender(int) override {
        return [this](Bytes bytes) { ends_.second.send_bytes(bytes); };
    }
    End receiver(int) override {
        return [this](Bytes bytes) { ends_.first.recv_bytes_into(bytes); };
    }

  private:
    std::pair<mp::Connection<int>, mp::Connection<int>> ends_ = mp::Pipe<int>();
};

template <std::size_t N>
class QueueMedium : public Medium {
    using Message = std::array<std::byte, N>;

  public:
    End sender(int) override {
        return [this](Bytes bytes) { queue_.put(*reinterpret_cast<const Message*>(bytes.data())); };
    }
    End receiver(int) override {
        return [this](Bytes bytes) { *reinterpret_cast<Message*>(bytes.data()) = queue_.get(); };
    }

  private:
    mp::Queue<Message> queue_{messages_under_way(N)};
};

/// The least that carries a message: slots in shared memory and two indices, looked at all the time. Nobody sleeps, nobody may
/// die, and there are only messages of one size.
template <std::size_t N>
class BareRing : public Medium {
    struct Ring {
        alignas(128) std::atomic<std::uint64_t> sent;
        alignas(128) std::atomic<std::uint64_t> received;
        alignas(128) std::array<std::array<std::byte, N>, (1 << 20) / N> slots;
    };

  public:
    End sender(int) override {
        return [&ring = *ring_, sent = std::uint64_t{}, received = std::uint64_t{}](Bytes bytes) mutable {
            while (sent - received == ring.slots.size()) received = ring.received.load(std::memory_order_acquire);
            std::memcpy(ring.slots[sent % ring.slots.size()].data(), bytes.data(), N);
            ring.sent.store(++sent, std::memory_order_release);
        };
    }
    End receiver(int) override {
        return [&ring = *ring_, sent = std::uint64_t{}, received = std::uint64_t{}](Bytes bytes) mutable {
            while (sent == received) sent = ring.sent.load(std::memory_order_acquire);
            std::memcpy(bytes.data(), ring.slots[received % ring.slots.size()].data(), N);
            ring.received.store(++received, std::memory_order_release);
        };
    }

  private:
    Shared<Ring> ring_;
};

class LargeQueueMedium : public Medium {
  public:
    explicit LargeQueueMedium(std::size_t size) : queue_(messages_under_way(size)) {}
    End sender(int) override {
        return [this, item = std::vector<std::byte>()](Bytes bytes) mutable {
            item.assign(bytes.begin(), bytes.end());
            queue_.put(item);
        };
    }
    End receiver(int) override {
        return [this](Bytes bytes) {
            if (queue_.get().size() != bytes.size()) throw std::runtime_error("a message of another size");
        };
    }

  private:
    mp::Queue<std::vector<std::byte>> queue_;
};

/// What counts as a message here are so many items, put and taken together.
class BatchQueueMedium : public Medium {
    using Item = std::array<std::byte, 64>;

  public:
    static constexpr std::size_t batch = 64, size = batch * sizeof(Item);

    End sender(int) override {
        return [this](Bytes bytes) { queue_.put_range(std::span(reinterpret_cast<const Item*>(bytes.data()), batch)); };
    }
    End receiver(int) override {
        return [this](Bytes bytes) {
            auto* to = reinterpret_cast<Item*>(bytes.data());
            for (std::size_t left = batch; left != 0;) {
                const auto some = queue_.get_some(left);
                to = std::ranges::copy(some, to).out;
                left -= some.size();
            }
        };
    }
    int held_in_part(int receivers) const override { return receivers - 1; }

  private:
    mp::Queue<Item> queue_{10'000};
};

class KernelPipe : public Medium {
  public:
    KernelPipe() {
        if (::pipe(ends_) != 0) throw std::runtime_error("no pipe");
    }
    ~KernelPipe() override {
        for (int end : ends_) ::close(end);
    }
    End sender(int) override {
        return [this](Bytes bytes) {
            all(bytes, [&](Bytes rest) { return ::write(ends_[1], rest.data(), rest.size()); });
        };
    }
    End receiver(int) override {
        return
            [this](Bytes bytes) { all(bytes, [&](Bytes rest) { return ::read(ends_[0], rest.data(), rest.size()); }); };
    }

  private:
    template <class Step>
    static void all(Bytes bytes, Step step) {
        while (!bytes.empty()) {
            const auto done = step(bytes);
            if (done <= 0) throw std::runtime_error("the pipe broke");
            bytes = bytes.subspan(static_cast<std::size_t>(done));
        }
    }
    int ends_[2];
};

class BoostQueue : public Medium {
    using Queue = boost::interprocess::message_queue;

  public:
    explicit BoostQueue(std::size_t size)
        : name_("bench-" + std::to_string(::getpid()) + "-" + std::to_string(number++)),
          queue_(boost::interprocess::create_only, name_.c_str(), messages_under_way(size), size) {}
    ~BoostQueue() override { Queue::remove(name_.c_str()); }
    End sender(int) override {
        return [this](Bytes bytes) { queue_.send(bytes.data(), bytes.size(), 0); };
    }
    End receiver(int) override {
        return [this](Bytes bytes) {
            std::size_t received = 0;
            unsigned priority = 0;
            queue_.receive(bytes.data(), bytes.size(), received, priority);
        };
    }

  private:
    static inline int number = 0;
    std::string name_;
    Queue queue_;
};

/// PUSH and PULL over Unix sockets: every receiver has an address, every sender connects to all, in turns.
class ZeroMq : public Medium {
  public:
    explicit ZeroMq(int receivers)
        : receivers_(receivers), path_("/tmp/bench-" + std::to_string(::getpid()) + "-" + std::to_string(number++)) {}
    ~ZeroMq() override {
        for (int i = 0; i < receivers_; ++i) ::unlink((path_ + "-" + std::to_string(i)).c_str());
    }
    End sender(int) override {
        auto context = std::make_shared<zmq::context_t>();
        auto socket = std::make_shared<zmq::socket_t>(*context, zmq::socket_type::push);
        for (int i = 0; i < receivers_; ++i) socket->connect(address(i));
        return [context, socket](Bytes bytes) { socket->send(zmq::const_buffer(bytes.data(), bytes.size())); };
    }
    End receiver(int which) override {
        auto context = std::make_shared<zmq::context_t>();
        auto socket = std::make_shared<zmq::socket_t>(*context, zmq::socket_type::pull);
        socket->bind(address(which));
        return [context, socket](Bytes bytes) { (void)socket->recv(zmq::mutable_buffer(bytes.data(), bytes.size())); };
    }

  private:
    std::string address(int which) const { return "ipc://" + path_ + "-" + std::to_string(which); }

    static inline int number = 0;
    int receivers_;
    std::string path_;
};

}  // namespace bench
