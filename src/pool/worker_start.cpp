#include "pool/worker.hpp"

namespace mp::pool {

void encode_worker_start(serial::Writer& writer, const WorkerStart& start) {
    for (const auto* handle : {&start.lane, &start.segment, &start.socket, &start.nudge, &start.status})
        writer.attach(*handle);
    serial::encode(writer, start.memory_group.has_value());
    if (start.memory_group) writer.attach(*start.memory_group);
    serial::encode(writer, start.memory_limit);
    serial::encode(writer, start.relayed);
    serial::encode(writer, start.tagged);
    serial::encode(writer, start.lane_size);
    serial::encode(writer, start.segment_size);
    serial::encode(writer, start.status_size);
    serial::encode(writer, start.place);
    serial::encode(writer, start.lane_number);
    serial::encode(writer, start.max_tasks);
    serial::encode(writer, start.seed);
    serial::encode(writer, start.max_age);
    serial::encode(writer, start.max_growth);
    serial::encode(writer, start.initializer.has_value());
    if (start.initializer) serial::encode(writer, *start.initializer);
    serial::encode(writer, start.initializer_state);
    serial::encode(writer, std::uint64_t(start.initializer_handles.size()));
    for (const auto& handle : start.initializer_handles) writer.attach(handle);
}

WorkerStart decode_worker_start(serial::Reader& reader) {
    WorkerStart start;
    start.lane = reader.take_handle();
    start.segment = reader.take_handle();
    start.socket = reader.take_handle();
    start.nudge = reader.take_handle();
    start.status = reader.take_handle();
    if (serial::decode<bool>(reader)) start.memory_group = reader.take_handle();
    start.memory_limit = serial::decode<std::uint64_t>(reader);
    start.relayed = serial::decode<bool>(reader);
    start.tagged = serial::decode<bool>(reader);
    start.lane_size = serial::decode<std::uint64_t>(reader);
    start.segment_size = serial::decode<std::uint64_t>(reader);
    start.status_size = serial::decode<std::uint64_t>(reader);
    start.place = serial::decode<std::uint64_t>(reader);
    start.lane_number = serial::decode<std::uint64_t>(reader);
    start.max_tasks = serial::decode<std::uint64_t>(reader);
    start.seed = serial::decode<std::uint64_t>(reader);
    start.max_age = serial::decode<std::uint64_t>(reader);
    start.max_growth = serial::decode<std::uint64_t>(reader);
    if (serial::decode<bool>(reader)) start.initializer = serial::decode<detail::EntryId>(reader);
    start.initializer_state = serial::decode<std::vector<std::byte>>(reader);
    for (auto count = serial::decode<std::uint64_t>(reader); count > 0; --count)
        start.initializer_handles.push_back(reader.take_handle());
    reader.finish();
    return start;
}

}  // namespace mp::pool
