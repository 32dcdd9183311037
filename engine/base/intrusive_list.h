// A doubly linked list whose links live in the elements: no allocation, removal in constant time.
// The list does not own its elements.
#pragma once
#include <cstddef>

#include "base/assert.h"

namespace hearth {

// Derive an element from ListLink<Tag> once for each list that it may be in at the same time.
template <class Tag>
class ListLink {
 public:
  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { HEARTH_ASSERT(!linked()); }
  bool linked() const { return next_ != nullptr; }

 private:
  template <class T, class ListTag>
  friend class IntrusiveList;
  ListLink* next_ = nullptr;
  ListLink* prev_ = nullptr;
};

template <class T, class Tag>
class IntrusiveList {
  using Link = ListLink<Tag>;

 public:
  IntrusiveList() { head_.next_ = head_.prev_ = &head_; }
  ~IntrusiveList() {
    HEARTH_ASSERT(empty());
    head_.next_ = head_.prev_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  size_t size() const { return size_; }
  T* front() { return empty() ? nullptr : element(head_.next_); }
  const T* front() const { return empty() ? nullptr : element(head_.next_); }
  T* back() { return empty() ? nullptr : element(head_.prev_); }
  T* next(T& element_) { return after(static_cast<Link&>(element_).next_); }
  T* prev(T& element_) { return after(static_cast<Link&>(element_).prev_); }

  void push_back(T& element) { insert(static_cast<Link&>(element), *head_.prev_, head_); }
  void push_front(T& element) { insert(static_cast<Link&>(element), head_, *head_.next_); }
  // Before `position`; nullptr = at the end.
  void insert_before(T* position, T& element) {
    Link& next = position != nullptr ? static_cast<Link&>(*position) : head_;
    insert(static_cast<Link&>(element), *next.prev_, next);
  }
  void remove(T& element) {
    Link& link = element;
    HEARTH_ASSERT(link.linked());
    link.prev_->next_ = link.next_;
    link.next_->prev_ = link.prev_;
    link.next_ = link.prev_ = nullptr;
    --size_;
  }
  T* pop_front() {
    T* element = front();
    if (element != nullptr) remove(*element);
    return element;
  }

 private:
  static T* element(Link* link) { return static_cast<T*>(link); }
  T* after(Link* link) { return link == &head_ ? nullptr : element(link); }
  void insert(Link& link, Link& prev, Link& next) {
    HEARTH_ASSERT(!link.linked());
    link.prev_ = &prev;
    link.next_ = &next;
    prev.next_ = &link;
    next.prev_ = &link;
    ++size_;
  }
  Link head_;
  size_t size_ = 0;
};

}  // namespace hearth
