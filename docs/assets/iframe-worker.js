// Browsers start no workers for pages that are opened from a folder. There the search runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "search";
      document.body.appendChild(frame);
      const inside = frame.contentWindow;
      const script = frame.contentDocument.createElement("script");
      // what the worker posts goes to our listeners, what we post to its own
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = (...urls) =>
        urls.reduce((before, each) => before.then(() => new Promise((resolve, reject) => {
          const next = frame.contentDocument.createElement("script");
          next.onload = resolve;
          next.onerror = reject;
          next.src = each;
          frame.contentDocument.head.appendChild(next);
        })), Promise.resolve());
      script.onload = () => {
        this.deliver = (data) => inside.dispatchEvent(new inside.MessageEvent("message", { data }));
        this.waiting.forEach(this.deliver);
      };
      script.src = new URL(url, location.href).href;
      frame.contentDocument.head.appendChild(script);
    }

    postMessage(data) {
      if (this.deliver) this.deliver(data);
      else this.waiting.push(data);
    }
  };
}
