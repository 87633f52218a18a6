#include "manager/wire.hpp"

namespace mp::manager {

namespace {

bool has_entry(RequestKind kind) { return kind == RequestKind::call || kind == RequestKind::make; }

}  // namespace

void encode_request(serial::Writer& writer, const Request& request) {
    serial::encode(writer, request.kind);
    serial::encode(writer, request.thread);
    serial::encode(writer, request.object);
    if (has_entry(request.kind)) serial::encode(writer, *request.entry);
}

Request decode_request(serial::Reader& reader) {
    Request request;
    request.kind = serial::decode<RequestKind>(reader);
    if (request.kind > RequestKind::drop) throw SerializationError("what arrived is no request to a manager");
    request.thread = serial::decode<std::uint64_t>(reader);
    request.object = serial::decode<std::uint64_t>(reader);
    if (has_entry(request.kind))
        request.entry = serial::decode<detail::EntryId>(reader);
    else
        reader.finish();
    return request;
}

}  // namespace mp::manager
