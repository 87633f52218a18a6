// What a peer that has passed the handshake may send over a connection: arbitrary bytes, in pieces, with descriptors.
#include "channel/stream_end.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <multiprocessing/errors.hpp>

#include "net/stream.hpp"

namespace {

using mp::base::Deadline;
using mp::detail::StreamEnd;

// The input: for each piece one byte (low bits: descriptors that go with it; high bits: its size), then its bytes.
void receive(const std::uint8_t* data, std::size_t size, bool make_heads) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    mp::os::UniqueFd feeding(ends[0]);
    StreamEnd stream{mp::os::UniqueFd(ends[1])};
    std::byte buffer[64];
    const auto look = [&](unsigned how) {
        if (how % 3 == 0) {
            (void)stream.receive_into(buffer, Deadline::now());
        } else if (stream.receive(Deadline::now())) {
            stream.release();
        }
    };
    try {
        while (size != 0) {
            const unsigned how = *data++;
            --size;
            const int fds[] = {0, 0, 0};
            if (make_heads && how % 5 == 0) {
                // A head that is nearly right, so that what is behind it is reached.
                mp::channel::FrameHead head{.handles = how % 4, .bytes = how};
                (void)mp::net::send_some(feeding.get(), std::as_bytes(std::span(&head, 1)), {},
                                         std::span(fds).first(how % 4));
            }
            const std::size_t count = std::min<std::size_t>(size, 1 + (how >> 2));
            (void)mp::net::send_some(feeding.get(), std::as_bytes(std::span(data, count)), {},
                                     count ? std::span(fds).first(how % 4) : std::span<const int>());
            data += count;
            size -= count;
            try {
                look(how);
            } catch (const mp::Closed&) {
                throw;
            } catch (const mp::SerializationError&) {
                return;
            } catch (const mp::Error&) {
                // A buffer that was too short: the message is still there.
            }
        }
        feeding.reset();
        for (int i = 0; i < 4; ++i) look(1);
    } catch (const mp::Error&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    receive(data + 1, size - 1, data[0] % 2 == 0);
    return 0;
}
