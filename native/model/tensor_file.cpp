#include "model/tensor_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace pk {

static Error io_error(const std::string& action, const std::string& path) {
  int code = errno;
  return Error(code == ENOSPC ? "ENOSPC" : "ERR_IO", "Could not " + action + " " + path + ": " + std::strerror(code) + ".");
}

MappedFile::MappedFile(const std::string& path) {
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw io_error("open", path);
  struct stat info {};
  if (::fstat(file, &info) != 0 || info.st_size == 0) {
    ::close(file);
    throw Error("ERR_IO", "Could not map " + path + ": the file is empty or unreadable.");
  }
  size_ = info.st_size;
  void* at = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (at == MAP_FAILED) throw io_error("map", path);
  data_ = static_cast<const uint8_t*>(at);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(size_));
}

void MappedFile::forget(int64_t begin, int64_t end) const {
  int64_t page = ::sysconf(_SC_PAGESIZE), from = begin / page * page, to = end / page * page;
  // Only advice: a failure costs memory, not correctness.
  if (to > from) ::madvise(const_cast<uint8_t*>(data_) + from, static_cast<size_t>(to - from), MADV_DONTNEED);
}

bool within_file(int64_t begin, FileType type, int64_t n, int64_t size) {
  return begin >= 0 && n >= 0 && begin <= size && n <= (size - begin) / file_type_size(type);
}

namespace {

constexpr int64_t kBlock = 1 << 20;  // elements converted at once

float element(const uint8_t* bytes, FileType type, int64_t i) {
  if (type == FileType::f32) {
    float value;
    std::memcpy(&value, bytes + 4 * i, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, bytes + 2 * i, 2);
  return type == FileType::bf16 ? to_float(bf16{bits}) : static_cast<float>(__builtin_bit_cast(_Float16, bits));
}

bool same_type(DType memory, FileType file) { return (memory == DType::f32 && file == FileType::f32) || (memory == DType::bf16 && file == FileType::bf16); }

}  // namespace

void convert_elements(Tensor out, const uint8_t* bytes, FileType type) {
  if (out.size() == 0) return;  // there may be no memory at all
  if (same_type(out.dtype, type)) {
    std::memcpy(out.data, bytes, static_cast<size_t>(out.bytes()));
    return;
  }
  for (int64_t i = 0; i < out.size(); ++i) {
    if (out.dtype == DType::f32)
      out.f32()[i] = element(bytes, type, i);
    else
      out.as<bf16>()[i] = to_bf16(element(bytes, type, i));
  }
}

void load_tensor(Memory& memory, Tensor to, const MappedFile& file, int64_t begin, FileType type) {
  if (!within_file(begin, type, to.size(), file.size())) throw Error("ERR_MODEL_FORMAT", "The file ends before a tensor in it does.");
  int64_t in_size = file_type_size(type), out_size = dtype_size(to.dtype);
  std::vector<uint8_t> block(static_cast<size_t>(same_type(to.dtype, type) ? 0 : std::min(kBlock, to.size()) * out_size));
  for (int64_t at = 0; at < to.size(); at += kBlock) {
    int64_t count = std::min(kBlock, to.size() - at), place = begin + at * in_size;
    const uint8_t* from = file.data() + place;
    if (!block.empty()) {
      convert_elements({block.data(), to.dtype, 1, count}, from, type);
      from = block.data();
    }
    memory.copy_from_host(to.as<char>() + at * out_size, from, count * out_size);
    file.forget(place, place + count * in_size);
  }
}

namespace {

void write_all(int file, const void* data, size_t bytes, const std::string& path) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    ssize_t written = ::write(file, at, std::min<size_t>(bytes, 1 << 24));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw io_error("write", path);
    }
    at += written;
    bytes -= static_cast<size_t>(written);
  }
}

void put_element(uint8_t* bytes, FileType type, int64_t i, float value) {
  if (type == FileType::f32) {
    std::memcpy(bytes + 4 * i, &value, 4);
  } else if (type == FileType::bf16) {
    bf16 rounded = to_bf16(value);
    std::memcpy(bytes + 2 * i, &rounded, 2);
  } else {
    auto half = static_cast<_Float16>(value);
    if (std::isinf(static_cast<float>(half)) && !std::isinf(value))
      throw Error("ERR_UNSUPPORTED", "The weight " + std::to_string(value) + " is too large for float16: save as bfloat16 or float32.");
    std::memcpy(bytes + 2 * i, &half, 2);
  }
}

void write_part(int file, const FilePart& part, Memory& memory, const std::string& path) {
  int64_t in_size = dtype_size(part.data.dtype), out_size = file_type_size(part.type), n = part.data.size();
  std::vector<uint8_t> in(static_cast<size_t>(std::min(kBlock, n) * in_size)), out(static_cast<size_t>(std::min(kBlock, n) * out_size));
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    int64_t count = std::min(kBlock, n - begin);
    memory.copy_to_host(in.data(), part.data.as<char>() + begin * in_size, count * in_size);
    if (same_type(part.data.dtype, part.type)) {
      write_all(file, in.data(), static_cast<size_t>(count * in_size), path);
      continue;
    }
    FileType kept = part.data.dtype == DType::f32 ? FileType::f32 : FileType::bf16;
    for (int64_t i = 0; i < count; ++i) put_element(out.data(), part.type, i, element(in.data(), kept, i));
    write_all(file, out.data(), static_cast<size_t>(count * out_size), path);
  }
}

}  // namespace

void write_file(const std::string& path, const std::string& header, const std::vector<FilePart>& parts, Memory& memory) {
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) throw io_error("create", path);
  try {
    write_all(file, header.data(), header.size(), path);
    for (const FilePart& part : parts) write_part(file, part, memory, path);
    if (::fsync(file) != 0) throw io_error("flush", path);
  } catch (...) {
    ::close(file);
    ::unlink(path.c_str());
    throw;
  }
  if (::close(file) != 0) throw io_error("close", path);
}

}  // namespace pk
