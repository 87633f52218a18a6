// What travels between a manager's server and its clients, inside the frames of a connection (channel/stream_end.hpp).
#pragma once

#include <cstdint>
#include <optional>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp::manager {

/// First message of a client on each connection. A process that is a client opens its *anchor* first and closes it
/// last: when that ends the process is dead for the server. Calls go over further connections, one at a time on each.
struct Hello {
    std::uint64_t server = 0;  ///< the one that is expected; 0: any
    std::uint64_t client = 0;  ///< random, of the process; never 0
    bool anchor = false;
};
struct HelloReply {
    bool welcome = false;
    std::uint64_t server = 0;
    std::int32_t pid = 0;
};

enum class RequestKind : std::uint8_t {
    call,  ///< an entry on an object; its arguments follow. Answer: the result
    make,  ///< an entry that makes an object; arguments follow. Answer: its number, with one reference for the client
    keep,  ///< one more reference for the client. Answer: empty
    drop,  ///< one fewer; no answer. On the anchor
};
struct Request {
    RequestKind kind = RequestKind::call;
    std::uint64_t thread = 0;                ///< of the client, for what belongs to a thread
    std::uint64_t object = 0;                ///< not for make
    std::optional<detail::EntryId> entry{};  ///< for call and make
};

enum class Answer : std::uint8_t { value, exception };

void encode_request(serial::Writer& writer, const Request& request);
/// Leaves the reader at the arguments. Throws SerializationError for what is no request.
Request decode_request(serial::Reader& reader);

}  // namespace mp::manager
