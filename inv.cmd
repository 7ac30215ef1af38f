@echo off
rem Runs the tasks of this checkout, as inv does elsewhere: finds Python, and hands over to inv.py, which makes .venv.
rem PYTHON=C:\path\to\python.exe chooses another interpreter.
setlocal EnableExtensions DisableDelayedExpansion
set "venv=%~dp0.venv\Scripts\python.exe"

if not exist "%venv%" goto find
"%venv%" "%~dp0inv.py" run %*
rem 103: it has to be made first, says inv.py; or the Python that it was made with is gone, says venv's launcher.
if not errorlevel 103 exit /b %errorlevel%
if errorlevel 104 exit /b %errorlevel%

:find
rem tomllib came with Python 3.11. The advert for the Microsoft Store that is called python says it on standard error.
set "found="
if not defined PYTHON goto search
set found="%PYTHON%"
%found% -c "import tomllib" >nul 2>nul
if not errorlevel 1 goto run
set "found="
:search
for %%c in ("py -3.13" "py -3.12" "py -3.11" "py -3" python python3) do (
    if not defined found for /f %%o in ('%%~c -c "import tomllib; print(1)" 2^>nul') do set "found=%%~c"
)
if defined found goto run
>&2 echo No Python 3.11 or newer was found.
>&2 echo Looked for: py -3.13, py -3.12, py -3.11, py -3, python and python3 on PATH
if defined PYTHON >&2 echo Nor is it what PYTHON says: "%PYTHON%"
>&2 echo Fix: winget install Python.Python.3.13  (or python.org, or set PYTHON=C:\path\to\python.exe), then inv.cmd again
exit /b 4

:run
rem Where this is another batch file, such as a shim of pyenv, nothing below it is run: it is the last command.
%found% "%~dp0inv.py" run %*
exit /b %errorlevel%
