/** A run's link, for reloads and second tabs: the workbench reads the id from the address. */
export default function RunPage() {
  return null
}
