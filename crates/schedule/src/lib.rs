//! When a schedule acts: specs, calendars, cron, time zones, and the pure decision about its next action.
