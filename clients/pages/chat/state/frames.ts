/**
 * Return a function that does something once in each frame of the screen, however often it is called. A page that is
 * hidden has no frames: there it is done some times a second.
 */
export function oncePerFrame(action: () => void): () => void {
  let asked = false;
  const run = () => {
    asked = false;
    action();
  };
  return () => {
    if (!asked) {
      asked = true;
      if (document.hidden) {
        setTimeout(run, 250);
      } else {
        requestAnimationFrame(run);
      }
    }
  };
}
