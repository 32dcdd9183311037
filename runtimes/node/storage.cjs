'use strict';
// Which call the running code belongs to, where several run at once: AsyncLocalStorage, or in a Node that has none yet (before 12.17) the
// part of it that is needed here.
const asyncHooks = require('async_hooks');

class HookStorage {
  constructor() {
    const stores = new Map(); // by the id of an asynchronous operation: what it inherited from the one that began it
    this.stores = stores;
    asyncHooks.createHook({
      init: function (id) {
        const store = stores.get(asyncHooks.executionAsyncId());
        if (store !== undefined) stores.set(id, store);
      },
      destroy: function (id) { stores.delete(id); },
    }).enable();
  }

  run(store, what, argument) {
    const id = asyncHooks.executionAsyncId();
    const before = this.stores.get(id);
    this.stores.set(id, store);
    try {
      return what(argument);
    } finally {
      if (before === undefined) this.stores.delete(id);
      else this.stores.set(id, before);
    }
  }

  getStore() { return this.stores.get(asyncHooks.executionAsyncId()); }
}

function make() {
  return asyncHooks.AsyncLocalStorage ? new asyncHooks.AsyncLocalStorage() : new HookStorage();
}

module.exports = { make };
