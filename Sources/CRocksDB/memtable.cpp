// The memtable: a skip list like RocksDB's own, for one writer.
//
// Debian builds RocksDB with assertions, and its skip list then compares each new row with its neighbours at every level, through two
// virtual calls each: a third of the time of a write, and half of that of an indexed entity. This one knows the order of the keys, which
// is always bytewise.
#include "internal.hpp"

#include <rocksdb/memtablerep.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

namespace themis {
namespace {

using rocksdb::Slice;

/// An internal key: user key, then 8 bytes with sequence and kind, little-endian.
struct InternalKey {
    const char *user;
    size_t size;
    uint64_t tag;

    static InternalKey of(const Slice &key) { return of(key.data(), key.size()); }

    /// Of a row of a memtable: the key's length as a varint, the key, whatever.
    static InternalKey of(const char *row) {
        uint32_t size = static_cast<uint8_t>(*row++);
        if (size >= 0x80) {
            size &= 0x7F;
            for (unsigned shift = 7;; shift += 7) {
                const uint8_t byte = static_cast<uint8_t>(*row++);
                size |= static_cast<uint32_t>(byte & 0x7F) << shift;
                if (byte < 0x80) break;
            }
        }
        return of(row, size);
    }

    /// Below zero when this comes first: by user key, then the newest first.
    int compare(const InternalKey &other) const {
        const size_t shared = std::min(size, other.size);
        size_t at = 0;
        // Most keys differ within their first words.
        for (; at + 8 <= shared && at < 16; at += 8) {
            const uint64_t left = word(user + at);
            const uint64_t right = word(other.user + at);
            if (left != right) return left < right ? -1 : 1;
        }
        const int order = memcmp(user + at, other.user + at, shared - at);
        if (order != 0) return order;
        if (size != other.size) return size < other.size ? -1 : 1;
        return tag == other.tag ? 0 : tag > other.tag ? -1 : 1;
    }

  private:
    /// Eight bytes that compare as the numbers do.
    static uint64_t word(const char *bytes) {
        uint64_t value;
        memcpy(&value, bytes, sizeof value);
        return __builtin_bswap64(value);
    }

    static InternalKey of(const char *bytes, size_t size) {
        uint64_t tag;
        memcpy(&tag, bytes + size - sizeof tag, sizeof tag);
        return {bytes, size - sizeof tag, tag};
    }
};
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tags are read as they lie in memory");

/// A row with its links. The row lies behind the links.
struct Node {
    using Link = std::atomic<Node *>;

    uint64_t height;

    Link *links() { return reinterpret_cast<Link *>(this + 1); }
    char *row() { return reinterpret_cast<char *>(links() + height); }
    InternalKey key() { return InternalKey::of(row()); }
    /// For readers: what the node that it leads to holds is seen too.
    Node *next(int level) { return links()[level].load(std::memory_order_acquire); }
    /// For the writer, who made every link.
    Node *known_next(int level) { return links()[level].load(std::memory_order_relaxed); }

    static size_t bytes(int height, size_t row) { return sizeof(Node) + static_cast<size_t>(height) * sizeof(Link) + row; }
};

/// Any number of readers beside one writer: `write_mutex` admits one write at a time, and a start replays its log alone.
/// Rows are never moved or removed; their memory is that of the memtable.
class SkipList final : public rocksdb::MemTableRep {
  public:
    explicit SkipList(rocksdb::Allocator *allocator) : MemTableRep(allocator), head_(make(max_height, 0)) {
        std::fill(tail_, tail_ + max_height, head_);
    }

    rocksdb::KeyHandle Allocate(const size_t size, char **row) override {
        Node *node = make(draw_height(), size);
        *row = node->row();
        return node;
    }

    void Insert(rocksdb::KeyHandle handle) override { InsertKey(handle); }

    bool InsertKey(rocksdb::KeyHandle handle) override {
        Node *node = static_cast<Node *>(handle);
        const InternalKey key = node->key();
        const int height = static_cast<int>(node->height);
        // A reader that does not see the new height yet finds the same rows on fewer levels.
        if (height > height_.load(std::memory_order_relaxed)) height_.store(height, std::memory_order_relaxed);
        Node *before[max_height];
        if (tail_[0] == head_ || tail_[0]->key().compare(key) < 0) {
            std::copy(tail_, tail_ + height, before);
        } else if (!find(key, before)) {
            return false;
        }
        for (int level = 0; level < height; level++) {
            Node *next = before[level]->known_next(level);
            if (next == nullptr) tail_[level] = node;
            node->links()[level].store(next, std::memory_order_relaxed);
            // Publishes the node: its row and this link before it can be found.
            before[level]->links()[level].store(node, std::memory_order_release);
        }
        return true;
    }

    bool Contains(const char *row) const override {
        const InternalKey key = InternalKey::of(row);
        Node *found = at_or_after(key);
        return found != nullptr && found->key().compare(key) == 0;
    }

    uint64_t ApproximateNumEntries(const Slice &first, const Slice &last) override {
        const uint64_t lower = rank(InternalKey::of(first));
        const uint64_t upper = rank(InternalKey::of(last));
        return upper > lower ? upper - lower : 0;
    }

    /// Everything is the allocator's.
    size_t ApproximateMemoryUsage() override { return 0; }

    Iterator *GetIterator(rocksdb::Arena *arena) override;
    Iterator *GetDynamicPrefixIterator(rocksdb::Arena *arena) override;

    // MARK: For iterators

    Node *first() const { return head_->next(0); }

    Node *last() const {
        Node *at = head_;
        for (int level = top(); level >= 0;) {
            if (Node *next = at->next(level)) {
                at = next;
            } else {
                level--;
            }
        }
        return at == head_ ? nullptr : at;
    }

    Node *at_or_after(const InternalKey &key) const {
        Node *found = last_before(key)->next(0);
        // The writer may have put rows between since.
        while (found != nullptr && found->key().compare(key) < 0) found = found->next(0);
        return found;
    }

    Node *before(const InternalKey &key) const {
        Node *found = last_before(key);
        return found == head_ ? nullptr : found;
    }

  private:
    static constexpr int max_height = 12;

    /// Where on each level a new key belongs; false when it is there. The writer's.
    bool find(const InternalKey &key, Node **before) {
        Node *at = head_;
        Node *behind = nullptr;
        for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0;) {
            Node *next = at->known_next(level);
            if (level > 0) __builtin_prefetch(at->known_next(level - 1));
            if (next != behind && next != nullptr) {
                const int order = next->key().compare(key);
                if (order == 0) return false;
                if (order < 0) {
                    at = next;
                    continue;
                }
            }
            behind = next;
            before[level--] = at;
        }
        return true;
    }

    int top() const { return height_.load(std::memory_order_relaxed) - 1; }

    /// The last node before a key, or the head.
    Node *last_before(const InternalKey &key) const {
        Node *at = head_;
        Node *behind = nullptr;
        for (int level = top(); level >= 0;) {
            Node *next = at->next(level);
            if (next != behind && next != nullptr && next->key().compare(key) < 0) {
                at = next;
            } else {
                behind = next;
                level--;
            }
        }
        return at;
    }

    /// About how many rows come before a key.
    uint64_t rank(const InternalKey &key) const {
        uint64_t count = 0;
        Node *at = head_;
        for (int level = top(); level >= 0;) {
            Node *next = at->next(level);
            if (next != nullptr && next->key().compare(key) < 0) {
                at = next;
                count++;
            } else if (level-- > 0) {
                count *= 4;
            }
        }
        return count;
    }

    /// One in four nodes of a level is on the next one too.
    int draw_height() {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 7;
        random_ ^= random_ << 17;
        int height = 1;
        for (uint64_t bits = random_ >> 32; height < max_height && (bits & 3) == 0; bits >>= 2) height++;
        return height;
    }

    Node *make(int height, size_t row) {
        char *memory = nullptr;
        MemTableRep::Allocate(Node::bytes(height, row) + alignof(Node) - 1, &memory);
        const uintptr_t aligned = (reinterpret_cast<uintptr_t>(memory) + alignof(Node) - 1) & ~uintptr_t(alignof(Node) - 1);
        Node *node = new (reinterpret_cast<void *>(aligned)) Node{static_cast<uint64_t>(height)};
        for (int level = 0; level < height; level++) new (node->links() + level) Node::Link(nullptr);
        return node;
    }

    uint64_t random_ = 0x9E3779B97F4A7C15;
    std::atomic<int> height_{1};
    Node *const head_;
    /// The last node of each level, for the writer: many keys come in their order, those of changes always.
    Node *tail_[max_height];
};

/// Memory that an object lies in. The first base of a class is destroyed last: nothing of the object is touched after it is freed here.
class OwnMemory {
  public:
    explicit OwnMemory(void *memory) : memory_(memory) {}
    OwnMemory(const OwnMemory &) = delete;

  protected:
    ~OwnMemory() { ::operator delete(memory_); }

  private:
    void *const memory_;
};

class Cursor final : private OwnMemory, public rocksdb::MemTableRep::Iterator {
  public:
    Cursor(const SkipList *list, void *memory) : OwnMemory(memory), list_(list) {}

    /// RocksDB gives an arena that no public header declares, and calls the destructor alone: it frees the memory then, and `delete`
    /// has nothing left to do.
    static void operator delete(void *) {}

    bool Valid() const override { return node_ != nullptr; }
    const char *key() const override { return node_->row(); }
    void Next() override { node_ = node_->next(0); }
    void Prev() override { node_ = list_->before(node_->key()); }
    void Seek(const Slice &internal_key, const char *) override { node_ = list_->at_or_after(InternalKey::of(internal_key)); }
    void SeekForPrev(const Slice &internal_key, const char *) override {
        const InternalKey key = InternalKey::of(internal_key);
        Seek(internal_key, nullptr);
        if (node_ == nullptr || node_->key().compare(key) != 0) node_ = list_->before(key);
    }
    void SeekToFirst() override { node_ = list_->first(); }
    void SeekToLast() override { node_ = list_->last(); }

  private:
    const SkipList *const list_;
    Node *node_ = nullptr;
};

rocksdb::MemTableRep::Iterator *SkipList::GetIterator(rocksdb::Arena *) {
    void *memory = ::operator new(sizeof(Cursor));
    return new (memory) Cursor(this, memory);
}

/// Only RocksDB's point reads ask for it here, without an arena, and this version never destroys what it gets. Every read of a thread
/// gets the same memory.
rocksdb::MemTableRep::Iterator *SkipList::GetDynamicPrefixIterator(rocksdb::Arena *arena) {
    if (arena != nullptr) return GetIterator(arena);
    alignas(Cursor) static thread_local char memory[sizeof(Cursor)];
    return new (memory) Cursor(this, nullptr);
}

class SkipLists final : public rocksdb::MemTableRepFactory {
  public:
    const char *Name() const override { return "ThemisSkipLists"; }
    rocksdb::MemTableRep *CreateMemTableRep(
        const rocksdb::MemTableRep::KeyComparator &, rocksdb::Allocator *allocator, const rocksdb::SliceTransform *,
        rocksdb::Logger *) override {
        return new SkipList(allocator);
    }
    using MemTableRepFactory::CreateMemTableRep;
    bool CanHandleDuplicatedKey() const override { return true; }
};

}  // namespace

std::shared_ptr<rocksdb::MemTableRepFactory> skip_lists() { return std::make_shared<SkipLists>(); }

}  // namespace themis
